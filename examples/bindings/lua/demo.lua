-- One producer, fifty consumers, a thousand jobs with a time limit each, and a function on another thread.
local eddy = require "eddy"

local done, late = 0, 0

local function job(number)
    eddy.sleep(number % 100 == 99 and 3600 or number / 1e6)
end

local function consume(queue)
    for number in queue:values() do
        local ok, err = eddy.pcall(eddy.timeout, 1, job, number)
        if ok then
            done = done + 1
        elseif err == eddy.timed_out then
            late = late + 1
        else
            error(err, 0)
        end
    end
end

local function produce(queue)
    for number = 0, 999 do
        queue:put(number)
    end
    queue:close()
end

eddy.run(function()
    local queue = eddy.queue(10)
    do
        local group <close> = eddy.group()
        group:spawn(produce, queue)
        for _ = 1, 50 do
            group:spawn(consume, queue)
        end
    end
    print(done .. " done, " .. late .. " too late")
    print(eddy.offload(function(n)
        local sum = 0
        for i = 0, n - 1 do sum = sum + i end
        return sum
    end, 1000))
end)
