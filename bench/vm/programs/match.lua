local function shape(i)
  if i % 4 == 0 then
    return { case = "circle", r = i % 10 }
  elseif i % 4 == 1 then
    return { case = "rectangle", width = i % 7, height = i % 5 }
  elseif i % 4 == 2 then
    return { case = "square", side = i % 9 }
  else
    return { case = "nothing" }
  end
end

local function area(shape)
  local case = shape.case
  if case == "circle" then
    return 3 * shape.r * shape.r
  elseif case == "rectangle" then
    return shape.width * shape.height
  elseif case == "square" then
    return shape.side * shape.side
  else
    return 0
  end
end

return function(n, text)
  local total, rounds = 0, 0
  for i = 1, n do
    local following = shape(i)
    total = total + area(following)
    if following.case == "circle" then rounds = rounds + 1 end
  end
  return total .. " " .. rounds
end
