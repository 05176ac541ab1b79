local function items(n)
  local all = {}
  for i = 1, n do
    all[i] = { id = i, score = i * 37 % 101, tags = i % 2 == 0 and { "even" } or { "odd", "n" } }
  end
  return all
end

local function good(all)
  local kept = {}
  for _, item in ipairs(all) do
    if item.score >= 40 and #item.tags > 1 then kept[#kept + 1] = item end
  end
  return kept
end

local function scores(all)
  local found = {}
  for i, item in ipairs(all) do found[i] = item.score * 2 + item.id end
  return found
end

local function sum(numbers)
  local total = 0
  for _, x in ipairs(numbers) do total = total + x end
  return total
end

return function(n, text)
  local total = 0
  for round = 1, 20 do
    local all = items(n)
    local raw = {}
    for i, item in ipairs(all) do raw[i] = item.score end
    total = total + sum(scores(good(all))) + math.max(table.unpack(raw))
  end
  return tostring(total)
end
