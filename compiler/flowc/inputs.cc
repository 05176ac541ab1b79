#include "compiler/flowc/inputs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "compiler/limits.hpp"

namespace sluice::flowc {
namespace {

namespace fs = std::filesystem;
using compiler::Code;
using compiler::Span;

bool is_source(const fs::path& path) {
  return path.extension() == kSourceExtension;
}

// "no such file", with the nearest name in its directory.
std::string not_found(const std::string& path) {
  std::error_code error;
  const fs::path place(path);
  const fs::path parent = place.has_parent_path() ? place.parent_path() : fs::path(".");
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    if (entry.is_directory() || is_source(entry.path())) names.push_back(entry.path().filename());
  }
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const auto near = compiler::nearest(place.filename().string(), candidates);
  std::string text = fmt::format("there is no file `{}`", path);
  if (near.has_value()) {
    const fs::path meant = place.has_parent_path() ? parent / *near : fs::path(*near);
    text += fmt::format("; did you mean `{}`?", meant.string());
  }
  return text;
}

class Finder {
 public:
  tl::expected<std::vector<Input>, std::string> run(const std::vector<std::string>& arguments) {
    for (const std::string& argument : arguments) {
      if (auto added = add(argument); !added) return tl::unexpected(added.error());
    }
    return std::move(found_);
  }

 private:
  tl::expected<void, std::string> add(const std::string& argument) {
    if (argument == "-") {
      keep({"-", ""});
      return {};
    }
    std::error_code error;
    const auto status = fs::status(argument, error);
    if (fs::is_directory(status)) return add_directory(argument);
    if (fs::exists(status)) {
      keep({argument, ""});
      return {};
    }
    if (argument.find_first_of("*?[") != std::string::npos) return add_glob(argument);
    return tl::unexpected(not_found(argument));
  }

  tl::expected<void, std::string> add_directory(const std::string& directory) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename();
      if (it->is_directory(error) && name.starts_with('.')) {
        it.disable_recursion_pending();
      } else if (it->is_regular_file(error) && is_source(it->path())) {
        files.push_back(it->path());
      }
    }
    if (error)
      return tl::unexpected(fmt::format("cannot read `{}`: {}", directory, error.message()));
    if (files.empty()) {
      return tl::unexpected(
          fmt::format("there is no `{}` file below `{}`", kSourceExtension, directory));
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      keep({file.lexically_normal(), file.lexically_relative(directory).generic_string()});
    }
    return {};
  }

  tl::expected<void, std::string> add_glob(const std::string& pattern) {
    glob_t matches{};
    const int result = glob(pattern.c_str(), 0, nullptr, &matches);
    std::vector<std::string> paths;
    for (std::size_t i = 0; result == 0 && i < matches.gl_pathc; ++i) {
      paths.emplace_back(matches.gl_pathv[i]);
    }
    globfree(&matches);
    if (paths.empty()) return tl::unexpected(fmt::format("no file matches `{}`", pattern));
    for (const std::string& path : paths) {
      if (auto added = add(path); !added) return added;
    }
    return {};
  }

  void keep(Input input) {
    if (seen_.insert(input.path).second) found_.push_back(std::move(input));
  }

  std::vector<Input> found_;
  std::set<std::string> seen_;
};

// The file's module: its place below the directory that was named; for a file named by itself, what
// it declares if its path ends so.
std::string module_of(const Input& input, std::string_view text) {
  if (auto placed = compiler::module_of_path(input.module_path); placed.has_value()) return *placed;
  const std::string declared = declared_module(text);
  if (input.path == "-") return declared.empty() ? "main" : declared;
  std::string expected = declared + std::string(kSourceExtension);
  std::replace(expected.begin(),
               expected.end() - static_cast<std::ptrdiff_t>(kSourceExtension.size()), '.', '/');
  std::error_code error;
  const std::string absolute = fs::absolute(input.path, error).lexically_normal().generic_string();
  if (!declared.empty() && absolute.ends_with("/" + expected)) return declared;
  return fs::path(input.path).stem().string();
}

}  // namespace

tl::expected<std::vector<Input>, std::string> find_inputs(
    const std::vector<std::string>& arguments) {
  return Finder().run(arguments);
}

tl::expected<FileText, std::string> read_file(const std::string& path, std::size_t limit_bytes) {
  const auto failed = [&] {
    return tl::unexpected(fmt::format("cannot read `{}`: {}", path, std::strerror(errno)));
  };
  const bool standard_input = path == "-";
  const int file = standard_input ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed();
  FileText result;
  struct stat status {};
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
      static_cast<std::size_t>(status.st_size) > limit_bytes) {
    result.size = static_cast<std::size_t>(status.st_size);
    if (!standard_input) close(file);
    return result;
  }
  constexpr std::size_t kChunkBytes = 65'536;
  std::string chunk(kChunkBytes, '\0');
  ssize_t count = 0;
  while ((count = read(file, chunk.data(), chunk.size())) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    result.size += static_cast<std::size_t>(count);
    if (result.size > limit_bytes) break;
    result.text.append(chunk, 0, static_cast<std::size_t>(count));
  }
  const int error = errno;
  if (!standard_input) close(file);
  errno = error;
  if (count < 0) return failed();
  if (result.size > limit_bytes) result.text.clear();
  return result;
}

tl::expected<compiler::SourceSet, std::string> read_sources(
    const std::vector<std::string>& arguments, compiler::Diagnostics& diagnostics) {
  const auto inputs = find_inputs(arguments);
  if (!inputs) return tl::unexpected(inputs.error());
  if (inputs->size() > compiler::kSourceFilesMax) {
    return tl::unexpected(fmt::format("{} files are more than the {} that one program may have",
                                      inputs->size(), compiler::kSourceFilesMax));
  }
  compiler::SourceSet sources;
  std::size_t total = 0;
  for (const Input& input : *inputs) {
    auto file = read_file(input.path, compiler::kSourceBytesMax);
    if (!file) return tl::unexpected(file.error());
    total += file->text.size();
    if (total > compiler::kProgramBytesMax) {
      return tl::unexpected(
          fmt::format("the files together have more than {} bytes", compiler::kProgramBytesMax));
    }
    const std::string module = module_of(input, file->text);
    const std::string shown = input.path == "-" ? "<stdin>" : input.path;
    const std::size_t size = file->size;
    const auto id = sources.add(shown, module, std::move(file->text));
    if (size <= compiler::kSourceBytesMax) continue;
    diagnostics
        .report(Code::E0119, Span{id, 0, 0},
                fmt::format("the file has more than {} bytes and is not read",
                            compiler::kSourceBytesMax))
        .because(
            "a module of this size is mostly something else by mistake; divide it with `import`");
  }
  return sources;
}

std::string declared_module(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (line.empty() || line == "\r" || line.starts_with("//")) continue;
    constexpr std::string_view kWord = "module ";
    if (!line.starts_with(kWord)) return {};
    line.remove_prefix(kWord.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    const std::size_t size =
        line.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    return std::string(line.substr(0, size));
  }
  return {};
}

tl::expected<void, std::string> write_file(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  const auto failed = [&](std::string_view what) {
    const std::string reason = std::strerror(errno);
    unlink(temporary.c_str());
    return tl::unexpected(fmt::format("cannot {} `{}`: {}", what, path, reason));
  };
  struct stat status {};
  const mode_t mode = stat(path.c_str(), &status) == 0 ? (status.st_mode & 07777) : 0644;
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file < 0) return failed("write");
  while (!content.empty()) {
    const ssize_t written = write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      close(file);
      return failed("write");
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (close(file) != 0) return failed("write");
  if (rename(temporary.c_str(), path.c_str()) != 0) return failed("replace");
  return {};
}

}  // namespace sluice::flowc
