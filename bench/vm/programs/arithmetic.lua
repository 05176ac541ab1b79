local modulus = 2147483647

local function scramble(x, k) return (x * 48271 + k * 12345) % modulus end
local function fold(a, b) return (a * 31 + b) % 1000003 end
local function following(x)
  if x % 2 == 0 then return scramble(x, 3) else return scramble(x + 1, 7) end
end

return function(n, text)
  local x, sum = 42, 0
  for i = 1, n do
    x = following(x)
    sum = fold(sum, x + i)
  end
  return x .. " " .. sum
end
