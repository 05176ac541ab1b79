return function(n, text)
  local squares = { 0 }
  for i = 1, n do squares[#squares + 1] = i * i % 1009 end
  local jumps, at = 0, 0
  for i = 1, n do
    at = (squares[at + 1] + i) % #squares
    jumps = jumps + at
  end
  local both = table.move(squares, 1, #squares, 1, {})
  for i = #squares, 1, -1 do both[#both + 1] = squares[i] end
  local weighted = 0
  for _, x in ipairs(both) do weighted = (weighted * 3 + x) % 1000003 end
  return jumps .. " " .. weighted .. " " .. #both
end
