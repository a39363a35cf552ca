-- wrk: tools/call with an id of its own for every request and one of 200 tokens. Each answer is checked whole: its id was
-- asked and not yet answered, and its text is the one that was sent with that id.
-- Environment: TOKENS (file, one a line), ERA (legacy or modern).
local modern = os.getenv("ERA") == "modern"
local thread_of_setup
local requests, asked = {}, {}
local at, next_id = 0, 10000000
wrong, right, sample = 0, 0, ""

function setup(thread) thread_of_setup = thread end

function init()
  local headers = { ["Content-Type"] = "application/json", ["Accept"] = "application/json, text/event-stream" }
  local meta = ""
  if modern then
    headers["MCP-Protocol-Version"] = "2026-07-28"
    headers["Mcp-Method"] = "tools/call"
    headers["Mcp-Name"] = "up__echo"
    meta = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'
  end
  local body = '{"jsonrpc":"2.0","id":@@@@@@@@,"method":"tools/call","params":{"name":"up__echo","arguments":{"text":"hello @@@@@@@@ number"}' .. meta .. '}}'
  for token in io.lines(os.getenv("TOKENS")) do
    headers["Authorization"] = "Bearer " .. token
    local text = wrk.format("POST", "/mcp", headers, body)
    local first = string.find(text, "@@@@@@@@", 1, true)
    local second = string.find(text, "@@@@@@@@", first + 8, true)
    requests[#requests + 1] = { string.sub(text, 1, first - 1), string.sub(text, first + 8, second - 1), string.sub(text, second + 8) }
  end
end

function request()
  at = at % #requests + 1
  next_id = next_id + 1
  local id = tostring(next_id)
  asked[id] = true
  local parts = requests[at]
  return parts[1] .. id .. parts[2] .. id .. parts[3]
end

function response(status, headers, body)
  local id, rest = string.match(body, '^{"jsonrpc":"2.0","id":(%d+),"result":(.*)}$')
  if status == 200 and id and asked[id] and string.find(rest, '"content":[{"type":"text","text":"hello ' .. id .. ' number"}]', 1, true)
    and not string.find(rest, '"isError"', 1, true) then
    asked[id] = nil
    right = right + 1
  else
    wrong = wrong + 1
    if sample == "" then sample = status .. " " .. string.sub(body, 1, 200) end
  end
end

function done(summary, latency)
  local e = summary.errors
  local sample_text = string.gsub(thread_of_setup:get("sample"), '[%c"\\]', "'")
  io.write(string.format('RESULT{"requests":%d,"seconds":%.3f,"p50Ms":%.3f,"p99Ms":%.3f,"right":%d,"wrong":%d,"failed":%d,"sample":"%s"}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    thread_of_setup:get("right"), thread_of_setup:get("wrong"), e.connect + e.read + e.write + e.timeout, sample_text))
end
