#include <lua.hpp>
#include <stdexcept>

#include "bench/vm/sides.hpp"

namespace sluice::bench {
namespace {

class LuaSide : public Side {
 public:
  explicit LuaSide(const std::string& file) : state_(luaL_newstate(), lua_close) {
    luaL_openlibs(state());
    // The chunk is called once; the function that it gives stays in slot 1.
    if (luaL_loadfile(state(), file.c_str()) != LUA_OK || lua_pcall(state(), 0, 1, 0) != LUA_OK) {
      fail();
    }
  }

  std::string run(const Input& input) override {
    lua_pushvalue(state(), 1);
    lua_pushinteger(state(), input.n);
    lua_pushlstring(state(), input.text.data(), input.text.size());
    if (lua_pcall(state(), 2, 1, 0) != LUA_OK) fail();
    std::size_t size = 0;
    const char* text = lua_tolstring(state(), -1, &size);
    std::string result(text != nullptr ? text : "", size);
    lua_pop(state(), 1);
    return result;
  }

 private:
  lua_State* state() { return state_.get(); }
  void fail() {
    const char* message = lua_tostring(state(), -1);
    throw std::runtime_error(message != nullptr ? message : "Lua failed without a message");
  }

  std::unique_ptr<lua_State, decltype(&lua_close)> state_;
};

}  // namespace

std::unique_ptr<Side> lua_side(const std::string& file) {
  return std::make_unique<LuaSide>(file);
}

}  // namespace sluice::bench
