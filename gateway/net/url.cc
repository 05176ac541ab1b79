#include "gateway/net/url.hpp"

#include "gateway/ws/frames.hpp"

namespace sluice::gateway {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool good(const std::string& text) {
  return text.find('\0') == std::string::npos && ws::is_utf8(text);
}

}  // namespace

bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
      out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
      i += 2;
    }
  }
  return good(out);
}

bool parse_target(std::string_view target, std::vector<std::string>& path,
                  std::vector<std::pair<std::string, std::string>>& query) {
  path.clear();
  query.clear();
  if (target.empty() || target[0] != '/') return false;
  const std::size_t mark = target.find('?');
  std::string_view rest = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    if (!percent_decode(rest.substr(0, slash), false, path.emplace_back())) return false;
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  }
  if (mark == std::string_view::npos) return true;
  std::string_view pairs = target.substr(mark + 1);
  while (!pairs.empty()) {
    const std::size_t end = pairs.find('&');
    const std::string_view one = pairs.substr(0, end);
    pairs.remove_prefix(end == std::string_view::npos ? pairs.size() : end + 1);
    if (one.empty()) continue;
    const std::size_t equals = one.find('=');
    auto& [name, value] = query.emplace_back();
    if (!percent_decode(one.substr(0, equals), true, name)) return false;
    if (equals != std::string_view::npos && !percent_decode(one.substr(equals + 1), true, value))
      return false;
  }
  return true;
}

}  // namespace sluice::gateway
