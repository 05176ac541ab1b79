return function(n, text)
  local words = {}
  for word in text:gmatch("[^ ]+") do words[#words + 1] = word end
  local counts = {}
  for i = 1, n do
    for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + 1 end
  end
  local best, most, size = "", 0, 0
  for word, count in pairs(counts) do
    size = size + 1
    if count > most or (count == most and word < best) then best, most = word, count end
  end
  return size .. " " .. best .. " " .. most
end
