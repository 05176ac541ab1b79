local function trim(text) return text:match("^%s*(.-)%s*$") end

local function line(turn) return turn.role .. ": " .. turn.text end

local function prompt(question, turns, sources, left)
  local listed = {}
  for i, source in ipairs(sources) do listed[i] = "- " .. trim(source) end
  local said = {}
  for _, turn in ipairs(turns) do
    if turn.role ~= "tool" then said[#said + 1] = line(turn) end
  end
  return "You answer questions of customers. You have " .. left .. " words.\n" ..
    "Answer from these sources only:\n" .. table.concat(listed, "\n") ..
    "\n\nWhat was said so far:\n" .. table.concat(said, "\n") ..
    "\n\nQuestion: " .. question
end

return function(n, text)
  local turns = {
    { role = "user", text = "How do I change the address on my invoice?" },
    { role = "assistant", text = "In the settings of your account, under billing." },
    { role = "tool", text = "lookup(invoice)" },
    { role = "user", text = "I moved last month, and the old invoice is already paid." },
  }
  local sources = {
    " Addresses are changed in the account settings. ",
    " Invoices that were sent cannot be changed, but sent again. ",
    " A paid invoice is corrected by a credit note. ",
  }
  local size = 0
  for i = 1, n do
    size = size +
      utf8.len(prompt("Can invoice " .. i .. " be corrected?", turns, sources, 100 + i % 50))
  end
  return tostring(size)
end
