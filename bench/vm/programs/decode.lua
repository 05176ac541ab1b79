local json = require "cjson"

return function(n, text)
  local sent = json.encode({
    id = "01890a5d-ac96-774b-bcce-b302099a8057",
    turns = {
      { role = "user", text = "Hello, \"you\"", tokens = 12, score = 0.5 },
      { role = "assistant", text = "Of course,\ngo ahead.", tokens = 7, score = 0.25 },
      { role = "user", text = text:sub(1, 200), tokens = 140, score = 0.125 },
    },
    tags = { "billing", "invoice", "address" },
    open = true,
  })
  local tokens = 0
  for i = 1, n do
    local talk = json.decode(sent)
    for _, turn in ipairs(talk.turns) do tokens = tokens + turn.tokens end
  end
  return string.format("%d", tokens)
end
