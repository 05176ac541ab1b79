return function(n, text)
  local left, right, words = {}, {}, {}
  for i = 1, n do
    left[i] = i * 7919 % 10007
    right[i] = i * 104729 % 10009
    words[i] = "w" .. i * 31 % 1013
  end
  table.sort(left)
  table.sort(right)
  table.sort(words)
  local merged = {}
  local at = 1
  for _, x in ipairs(left) do
    while at <= n and right[at] <= x do
      merged[#merged + 1] = right[at]
      at = at + 1
    end
    merged[#merged + 1] = x
  end
  local check = 0
  for _, x in ipairs(merged) do check = (check * 31 + x) % 1000003 end
  return #merged .. " " .. check .. " " .. words[1] .. " " .. words[n]
end
