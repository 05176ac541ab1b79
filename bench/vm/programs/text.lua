return function(n, text)
  local names = { "ann", "ben", "cleo", "dan" }
  local lines = {}
  for i = 1, n do
    local name = names[i % 4 + 1]
    lines[#lines + 1] = i .. ": " .. name:upper() .. " has " .. i * 7 % 100 .. " points\n"
  end
  local out = table.concat(lines)
  return utf8.len(out) .. " " .. out:sub(utf8.offset(out, utf8.len(out) - 59))
end
