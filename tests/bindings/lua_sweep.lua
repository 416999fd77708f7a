-- A little of everything, for lua_host --sweep.
local eddy = require "eddy"

local function consume(queue, lock)
    for _ in queue:values() do
        local guard <close> = lock:hold()
        eddy.sleep(0)
    end
end

eddy.run(function()
    local queue, lock, slots, event = eddy.queue(1), eddy.lock(), eddy.semaphore(1), eddy.event()
    do
        local group <close> = eddy.group()
        group:spawn(consume, queue, lock)
        group:spawn(consume, queue, lock)
        group:spawn(function()
            for i = 1, 4 do queue:put({i}) end
            queue:close()
        end)
    end
    eddy.pcall(eddy.timeout, 0, queue.get, eddy.queue())
    eddy.gather(function() event:wait() end, function() event:set() return {} end)
    eddy.race(eddy.sleep, function() local permit <close> = slots:hold() end)
    local task = eddy.spawn(function() eddy.sleep(60) end)
    eddy.sleep(0)
    task:cancel()
    pcall(task.await, task)
    local bad = eddy.spawn(error, {})
    pcall(bad.await, bad)
    eddy.offload(function(x) return x end, "x")
    eddy.dump()
end)
