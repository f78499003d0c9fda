-- Sends the lines of a file as credentials, one a request.
--
--   wrk ... -s wrk.lua URL -- FILE HEADER PREFIX [FORM [BODY]]
--
-- With a form it is a POST of that. With the name of a file in place of it, behind an empty
-- FORM, it is a POST of the JSON in the file.
--
-- A file of one line is one request, sent again and again. Of a longer one each
-- line is sent once: no token comes twice. It must have enough lines for the time,
-- as at its end nothing more is sent until the time is over.

local file, header, prefix, form, kind

local function with(line)
	local headers = { [header] = prefix .. line }
	if not form then
		return wrk.format("GET", nil, headers)
	end
	headers["Content-Type"] = kind
	return wrk.format("POST", nil, headers, form)
end

function init(args)
	header, prefix, form = args[2], args[3] or "", args[4]
	kind = "application/x-www-form-urlencoded"
	if form == "" then
		form = nil
		if args[5] and args[5] ~= "" then
			local body = assert(io.open(args[5]))
			form, kind = body:read("*a"), "application/json"
			body:close()
		end
	end
	file = assert(io.open(args[1]))
	local first, second = file:read(), file:read()
	if second then
		file:seek("set")
		return
	end
	file:close()
	local constant = with(first)
	request = function() return constant end
end

function request()
	local line = file:read()
	if not line then
		wrk.thread:stop()
		line = "end"
	end
	return with(line)
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
