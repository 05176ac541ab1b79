return function(n, text)
  local stats = { count = 0, sum = 0, least = 1000000, greatest = 0 }
  for i = 1, n do
    local x = i * 7919 % 10007
    stats.count = stats.count + 1
    stats.sum = stats.sum + x
    if x < stats.least then stats.least = x end
    if x > stats.greatest then stats.greatest = x end
  end
  return stats.count .. " " .. stats.sum .. " " .. stats.least .. " " .. stats.greatest
end
