-- Like the values of a flow, an account is not changed but made anew: who holds the old one keeps it.
local function book(account, amount)
  local limits = account.limits
  if limits.used + amount > limits.daily then
    return {
      owner = account.owner, balance = account.balance, bookings = account.bookings,
      limits = { daily = limits.daily, used = 0 },
    }
  end
  return {
    owner = account.owner, balance = account.balance + amount, bookings = account.bookings + 1,
    limits = { daily = limits.daily, used = limits.used + amount },
  }
end

return function(n, text)
  local account =
    { owner = "ann", balance = 0, bookings = 0, limits = { daily = 500, used = 0 } }
  for i = 1, n do account = book(account, i % 97) end
  return account.owner .. " " .. account.balance .. " " .. account.bookings .. " " ..
    account.limits.used
end
