return function(n, text)
  local total = 0
  for i = 1, n do
    for j = 1, 100 do
      if (i + j) % 3 == 0 then total = total + i * j else total = total - j end
    end
  end
  return tostring(total)
end
