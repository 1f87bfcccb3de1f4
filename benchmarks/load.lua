-- wrk's side of a load. Arguments: a file of request bodies (one JSON object a line), the path, "rotate" or "fresh",
-- a prefix of session ids, their number (of rotating ones), then headers as "Name: value".
-- "{session}" in a body or a header becomes a session id: one of a fixed number, or a new one for every request.

local requests, heads, tails = {}, {}, {}
local fresh, prefix, sent = false, "", 0
local MARK = "{session}"

local function session(number)
  return string.format("%s%010d", prefix, number)
end

local function fill(text, id)
  return (text:gsub(MARK, id))
end

local function format(path, headers, body, id)
  local filled = {}
  for name, value in pairs(headers) do filled[name] = fill(value, id) end
  return wrk.format("POST", path, filled, fill(body, id))
end

local function lines(name)
  local found = {}
  for line in io.lines(name) do found[#found + 1] = line end
  return found
end

-- Everything but the session id is made once, so that wrk does little per request.
local function split(whole, id)
  local from, to = whole:find(id, 1, true)
  return whole:sub(1, from - 1), whole:sub(to + 1)
end

function init(args)
  local bodies, path, number = lines(args[1]), args[2], tonumber(args[5])
  fresh, prefix = args[3] == "fresh", args[4]
  local headers = {}
  for i = 6, #args do
    local name, value = args[i]:match("^([^:]+): (.*)$")
    headers[name] = value
  end
  for i = 1, fresh and #bodies or math.max(number, #bodies) do
    local id = session((i - 1) % number)
    requests[i] = format(path, headers, bodies[(i - 1) % #bodies + 1], id)
    if fresh then heads[i], tails[i] = split(requests[i], id) end
  end
end

function request()
  sent = sent + 1
  local i = (sent - 1) % #requests + 1
  if fresh then return heads[i] .. session(sent) .. tails[i] end
  return requests[i]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests": %d, "duration_us": %d, "p50_us": %.1f, "p90_us": %.1f, "p99_us": %.1f, "max_us": %.1f, '
      .. '"socket_errors": %d, "timeouts": %d, "bad_statuses": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency.max, e.connect + e.read + e.write, e.timeout, e.status))
end
