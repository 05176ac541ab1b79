#include "gateway/routes/deployment_bodies.hpp"

#include <fmt/format.h>

#include "compiler/source.hpp"
#include "gateway/limits.hpp"
#include "gateway/routes/event_bodies.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonKind;
using vm::JsonReader;

tl::unexpected<InputError> bad(std::string message) {
  return tl::unexpected(InputError{ErrorCode::bad_request, std::move(message), {}});
}

tl::expected<void, InputError> add_source(Sources& sources, const std::string& path,
                                          std::string text) {
  std::string pointer = "/";
  for (const char c : path) pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  const auto refuse = [&](const std::string& message) {
    return tl::unexpected(InputError{
        ErrorCode::invalid, fmt::format("{}: {}", path, message), {{pointer, message, false}}});
  };
  if (const auto module = compiler::module_of_path(path); !module) return refuse(module.error());
  if (sources.size() == limits::kDeploymentFiles) return refuse("a deployment has too many files");
  if (!sources.emplace(path, std::move(text)).second) return refuse("the same path twice");
  return {};
}

tl::expected<Sources, InputError> read_map(std::string_view body) {
  Sources sources;
  JsonReader reader(body);
  std::string_view key;
  if (reader.begin_object()) {
    while (reader.next_key(&key)) {
      const std::string path(key);
      if (reader.kind() != JsonKind::string) {
        if (!reader.skip()) break;  // no value at all
        return tl::unexpected(InputError{
            ErrorCode::invalid, fmt::format("{}: the text of a source is a string", path), {}});
      }
      std::string text;
      if (!reader.read_string(&text)) break;
      if (auto added = add_source(sources, path, std::move(text)); !added)
        return tl::unexpected(added.error());
    }
  }
  if (!reader.finish()) {
    return bad(fmt::format("the body is not a JSON map of path to text: {} at byte {}",
                           reader.error(), reader.error_offset()));
  }
  return sources;
}

// The value of `name=` in a header's parameters, quoted or not.
std::string parameter_of(std::string_view header, std::string_view name) {
  const std::string wanted = std::string(name) + "=";
  std::size_t at = 0;
  while (true) {
    at = header.find(wanted, at);
    if (at == std::string_view::npos) return {};
    if (at == 0 || header[at - 1] == ' ' || header[at - 1] == ';' || header[at - 1] == '\t') break;
    at += wanted.size();
  }
  std::string_view rest = header.substr(at + wanted.size());
  if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of("; \t")));
  std::string value;
  for (std::size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    value.push_back(rest[i]);
  }
  return value;
}

bool is_disposition(std::string_view line) {
  constexpr std::string_view kName = "content-disposition:";
  if (line.size() < kName.size()) return false;
  for (std::size_t i = 0; i < kName.size(); ++i) {
    const char c = line[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kName[i]) return false;
  }
  return true;
}

std::string path_of(std::string_view headers) {
  while (!headers.empty()) {
    const std::size_t end = headers.find("\r\n");
    const std::string_view line = headers.substr(0, end);
    headers.remove_prefix(end == std::string_view::npos ? headers.size() : end + 2);
    if (!is_disposition(line)) continue;
    const std::string name = parameter_of(line, "name");
    const std::string file = parameter_of(line, "filename");
    return name.ends_with(".flow") || file.empty() ? name : file;
  }
  return {};
}

tl::expected<Sources, InputError> read_multipart(std::string_view content_type,
                                                 std::string_view body) {
  const std::string boundary = parameter_of(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70) return bad("multipart/form-data needs a boundary");
  const std::string delimiter = "--" + boundary;
  if (!body.starts_with(delimiter)) return bad("the body does not begin with its boundary");
  body.remove_prefix(delimiter.size());
  Sources sources;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) return bad("the body is not multipart/form-data");
    body.remove_prefix(2);
    const std::size_t head = body.starts_with("\r\n") ? 0 : body.find("\r\n\r\n");
    const std::size_t skip = head == 0 ? 2 : 4;
    if (head == std::string_view::npos) return bad("a part has no headers");
    const std::size_t end = body.find("\r\n" + delimiter, head == 0 ? 0 : head + 2);
    if (end == std::string_view::npos || end < head + (head == 0 ? 0 : 2))
      return bad("a part does not end with the boundary");
    const std::string path = path_of(body.substr(0, head));
    if (path.empty()) return bad("a part has neither a name nor a filename");
    const std::size_t from = head + skip;
    std::string text(from <= end ? body.substr(from, end - from) : std::string_view());
    if (auto added = add_source(sources, path, std::move(text)); !added)
      return tl::unexpected(added.error());
    body.remove_prefix(end + 2 + delimiter.size());
  }
  return sources;
}

}  // namespace

tl::expected<Sources, InputError> read_sources(std::string_view content_type,
                                               std::string_view body) {
  const std::string type = media_type(content_type);
  auto sources = [&]() -> tl::expected<Sources, InputError> {
    if (type == "multipart/form-data") return read_multipart(content_type, body);
    if (type.empty() || type == "application/json") return read_map(body);
    return tl::unexpected(
        InputError{ErrorCode::unsupported_media_type,
                   "send multipart/form-data, application/json or application/vnd.sluice.artifact",
                   {}});
  }();
  if (sources && sources->empty())
    return tl::unexpected(InputError{ErrorCode::invalid, "there are no sources", {}});
  return sources;
}

}  // namespace sluice::gateway
