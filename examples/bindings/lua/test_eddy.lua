-- lua5.4 test_eddy.lua [name...]: all tests, or those whose names contain one of the words.
local eddy = require "eddy"

local tests, names = {}, {}
local function test(name, f)
    tests[name] = f
    names[#names + 1] = name
end

local function equal(got, expected, what)
    if got ~= expected then
        error(("%sexpected %s, got %s"):format(what and what .. ": " or "", tostring(expected), tostring(got)), 2)
    end
end

local function raises(expected, f, ...)
    local ok, err = pcall(f, ...)
    if ok then error("no error", 2) end
    if type(expected) == "string" and type(err) == "string" then
        if not err:find(expected) then error("another error: " .. err, 2) end
    elseif err ~= expected then
        error("another error: " .. tostring(err), 2)
    end
end

test("values and errors are the very same", function()
    local thing, err = {}, {}
    equal(eddy.run(function() return thing end), thing)
    raises(err, eddy.run, function() error(err) end)
    local a, b, c = eddy.run(function()
        equal(eddy.spawn(function() eddy.sleep(0.001) return thing end):await(), thing)
        raises(err, function() eddy.spawn(function() eddy.sleep(0) error(err) end):await() end)
        return 1, nil, 3
    end)
    equal(a, 1) equal(b, nil) equal(c, 3)
    local shy = setmetatable({}, {__tostring = function() error("not me") end})
    raises(shy, eddy.run, function() error(shy) end)
    local ok, nothing = pcall(eddy.run, function() error(nil) end)
    equal(ok, false) equal(nothing, nil)
end)

test("a task is awaited as often as you like", function()
    eddy.run(function()
        local err = {}
        local task = eddy.spawn(function(...) return select("#", ...), ... end, "a", nil)
        local bad = eddy.spawn(error, err)
        equal(task:done(), false)
        for _ = 1, 2 do
            local n, a, b = task:await()
            equal(n, 2) equal(a, "a") equal(b, nil)
            raises(err, bad.await, bad)
        end
        equal(task:done(), true)
        equal(task:name("giver"), "giver")
        local both = {}
        local slow = eddy.spawn(function() eddy.sleep(0.002) return both end)
        local x, y = eddy.gather(function() return slow:await() end, slow)
        equal(x, both) equal(y, both)
    end)
end)

test("cancelling is an error, once", function()
    eddy.run(function()
        local seen = {}
        local task = eddy.spawn(function()
            raises(eddy.cancelled, eddy.sleep, 60)
            seen[#seen + 1] = "told"
            eddy.sleep(0.001) -- cleaning up may wait
            return "finished"
        end)
        eddy.sleep(0.001)
        task:cancel()
        equal(task:await(), "finished")
        equal(table.concat(seen), "told")

        local ends = eddy.spawn(eddy.sleep)
        eddy.sleep(0)
        ends:cancel()
        raises(eddy.cancelled, ends.await, ends)

        local unborn = eddy.spawn(function() seen[#seen + 1] = "began" end)
        unborn:cancel()
        raises(eddy.cancelled, unborn.await, unborn)
        equal(#seen, 1)
        equal(tostring(eddy.cancelled), "cancelled")
    end)
end)

test("eddy.pcall lets cancellation through", function()
    eddy.run(function()
        local ok, err = eddy.pcall(error, "x", 0)
        equal(ok, false) equal(err, "x")
        local a, b, c = eddy.pcall(function(...) eddy.sleep(0) return ... end, 1, 2)
        equal(a, true) equal(b, 1) equal(c, 2)
        local went_on = false
        local task = eddy.spawn(function()
            while true do
                eddy.pcall(eddy.sleep, 60) -- a loop that survives errors
                went_on = true
            end
        end)
        eddy.sleep(0.001)
        task:cancel()
        raises(eddy.cancelled, task.await, task)
        equal(went_on, false)
    end)
end)

local function closing(order, name, waits)
    return setmetatable({}, {__close = function(_, err)
        if waits then eddy.sleep(0.001) end
        order[#order + 1] = name .. (err == eddy.cancelled and " cancelled" or err and " failed" or "")
    end})
end

test("variables are closed on cancel, error and return, and may wait", function()
    eddy.run(function()
        local order = {}
        local task = eddy.spawn(function()
            local a <close> = closing(order, "a", true)
            local b <close> = closing(order, "b", true)
            eddy.sleep(60)
        end)
        eddy.sleep(0.001)
        task:cancel()
        raises(eddy.cancelled, task.await, task)
        equal(table.concat(order, ", "), "b cancelled, a cancelled")

        order = {}
        local err = {}
        raises(err, function()
            eddy.spawn(function()
                local a <close> = closing(order, "a", true)
                eddy.sleep(0)
                error(err)
            end):await()
        end)
        equal(eddy.spawn(function()
            local b <close> = closing(order, "b", true)
            return 7
        end):await(), 7)
        equal(table.concat(order, ", "), "a failed, b")
    end)
end)

test("what is left behind is cancelled and cleans up", function()
    local order = {}
    eddy.run(function()
        eddy.spawn(function()
            local a <close> = closing(order, "a", true)
            eddy.sleep(60)
        end)
        eddy.sleep(0.001)
    end)
    equal(table.concat(order, ", "), "a cancelled")
end)

test("queue", function()
    eddy.run(function()
        local queue, got = eddy.queue(1), {}
        do
            local group <close> = eddy.group()
            group:spawn(function()
                for item in queue:values() do got[#got + 1] = item end
            end)
            for i = 1, 10 do queue:put(i) end
            queue:close()
        end
        equal(table.concat(got, ","), "1,2,3,4,5,6,7,8,9,10")
        equal(queue:get(), nil)
        raises(eddy.closed, queue.put, queue, 1)
        raises(eddy.closed, queue.try_put, queue, 1)
        raises("a value expected", queue.put, eddy.queue(), nil)

        queue = eddy.queue(1)
        equal(queue:try_get(), nil)
        equal(queue:try_put("x"), true)
        equal(queue:try_put("y"), false)
        equal(#queue, 1)
        raises(eddy.timed_out, eddy.timeout, 0.001, queue.put, queue, "z")
        equal(queue:try_get(), "x")
        equal(#queue, 0)
        queue:done()
        queue:join()
        raises("eddy:", queue.done, queue)
    end)
end)

test("an item is not lost by a get that comes too late", function()
    eddy.run(function()
        local queue = eddy.queue()
        raises(eddy.timed_out, eddy.timeout, 0, queue.get, queue)
        queue:put("kept")
        local task = eddy.spawn(queue.get, queue)
        task:cancel()
        pcall(task.await, task)
        equal(queue:get(), "kept")
    end)
end)

test("lock, semaphore, event", function()
    eddy.run(function()
        local lock, order = eddy.lock(), {}
        local function locked(name)
            local guard <close> = lock:hold()
            order[#order + 1] = name
            eddy.sleep(0.001)
        end
        do
            local group <close> = eddy.group()
            for i = 1, 5 do group:spawn(locked, i) end
        end
        equal(table.concat(order), "12345")
        lock:acquire()
        equal(lock:try_acquire(), false)
        local waiter = eddy.spawn(locked, "late")
        eddy.sleep(0)
        waiter:cancel()
        raises(eddy.cancelled, waiter.await, waiter)
        lock:release()
        equal(lock:try_acquire(), true)
        lock:release()
        raises("eddy:", lock.release, lock)
        local guard = lock:hold()
        guard:release()
        guard:release() -- once
        equal(lock:try_acquire(), true)

        local slots, event, most, now = eddy.semaphore(2), eddy.event(), 0, 0
        do
            local group <close> = eddy.group()
            for _ = 1, 6 do
                group:spawn(function()
                    event:wait()
                    local permit <close> = slots:hold()
                    now = now + 1
                    most = math.max(most, now)
                    eddy.sleep(0.001)
                    now = now - 1
                end)
            end
            eddy.sleep(0.001)
            equal(now, 0)
            event:set()
        end
        equal(most, 2)
        equal(event:is_set(), true)
        event:clear()
        equal(event:is_set(), false)
        slots:acquire(2)
        equal(slots:try_acquire(), false)
        slots:release(2)
        equal(slots:try_acquire(2), true)
        raises("positive", slots.acquire, slots, 0)
    end)
end)

test("gather and race", function()
    eddy.run(function()
        local function after(seconds, value)
            return function() eddy.sleep(seconds) return value end
        end
        local a, b, c = eddy.gather(after(0.002, 1), after(0.001, nil), after(0, 3))
        equal(a, 1) equal(b, nil) equal(c, 3)
        equal(select("#", eddy.gather()), 0)
        local order, err = {}, {}
        raises(err, eddy.gather, function()
            local x <close> = closing(order, "x", true)
            eddy.sleep(60)
        end, function()
            eddy.sleep(0.001)
            error(err)
        end)
        equal(order[1], "x cancelled")
        local winner, value = eddy.race(eddy.sleep, after(0.001, "b"), function() eddy.event():wait() end)
        equal(winner, 2) equal(value, "b")
        raises(err, eddy.race, eddy.sleep, function() error(err) end)
        raises("function or task expected", eddy.race)
        raises("eddy.task expected", eddy.gather, 1)
        -- Cancelling the whole cancels its parts and waits for them.
        order = {}
        local task = eddy.spawn(function()
            eddy.gather(function()
                local y <close> = closing(order, "y", true)
                eddy.sleep(60)
            end, eddy.sleep)
        end)
        eddy.sleep(0.001)
        task:cancel()
        raises(eddy.cancelled, task.await, task)
        equal(order[1], "y cancelled")
    end)
end)

test("timeout and shield", function()
    eddy.run(function()
        local order = {}
        raises(eddy.timed_out, eddy.timeout, 0.001, function()
            local x <close> = closing(order, "x", true)
            eddy.sleep(60)
        end)
        equal(order[1], "x cancelled")
        local a, b = eddy.timeout(60, function(...) return ... end, 1, 2)
        equal(a, 1) equal(b, 2)
        local err = {}
        raises(err, eddy.timeout, 60, error, err)
        local event = eddy.event()
        local task = eddy.spawn(function() event:wait() return "went on" end)
        raises(eddy.timed_out, eddy.timeout, 0.001, task)
        raises(eddy.timed_out, eddy.timeout, 0.001, function() eddy.shield(task) end)
        event:set()
        equal(task:await(), "went on")
    end)
end)

test("group", function()
    eddy.run(function()
        local ended, err = 0, {}
        local function long()
            local x <close> = setmetatable({}, {__close = function() ended = ended + 1 end})
            eddy.sleep(60)
        end
        raises(err, function()
            local group <close> = eddy.group()
            group:spawn(long)
            group:spawn(function() eddy.sleep(0.001) error(err) end)
        end)
        equal(ended, 1)
        raises("in the block", function()
            local group <close> = eddy.group()
            group:spawn(long)
            eddy.sleep(0)
            error("in the block")
        end)
        equal(ended, 2)
        local function through()
            local group <close> = eddy.group()
            group:spawn(long)
            eddy.sleep(0)
            return #group, "a result"
        end
        local task = eddy.spawn(through)
        eddy.sleep(0.001)
        task:cancel() -- while the group is closed
        raises(eddy.cancelled, task.await, task)
        equal(ended, 3)
        local group <close> = eddy.group()
        local member = group:spawn(long)
        group:cancel()
        raises(eddy.cancelled, member.await, member)
        group:wait()
        equal(#group, 0)
    end)
end)

test("a failed member interrupts the block", function()
    eddy.run(function()
        local err, order = {}, {}
        local function fails(e)
            eddy.sleep(0.001)
            error(e)
        end
        raises(err, function()
            local group <close> = eddy.group()
            group:spawn(fails, err)
            local x <close> = closing(order, "x", true) -- cleaning up may wait
            eddy.event():wait()
        end)
        equal(order[1], "x cancelled")
        -- In a block inside of the block: both end, with the outer one's error.
        local task
        raises(err, function()
            local outer <close> = eddy.group()
            outer:spawn(fails, err)
            local inner <close> = eddy.group()
            task = inner:spawn(eddy.sleep)
            eddy.sleep()
        end)
        equal(task:done(), true)
        -- While the inner block is left.
        raises(err, function()
            local outer <close> = eddy.group()
            outer:spawn(fails, err)
            do
                local inner <close> = eddy.group()
                task = inner:spawn(eddy.sleep)
            end
            error("not reached")
        end)
        equal(task:done(), true)
        -- The inner error is handled: the outer block ends all the same.
        raises(err, function()
            local outer <close> = eddy.group()
            outer:spawn(fails, err)
            pcall(function()
                local inner <close> = eddy.group()
                inner:spawn(fails, {})
                eddy.sleep()
            end)
            eddy.sleep()
        end)
        -- Who is cancelled from outside at the same time stays cancelled.
        task = eddy.spawn(function()
            local group <close> = eddy.group()
            group:spawn(error, err)
            eddy.sleep()
        end)
        eddy.sleep(0)
        task:cancel()
        raises(eddy.cancelled, task.await, task)
        -- A block that has ended well is not disturbed.
        raises(err, function()
            local group <close> = eddy.group()
            group:spawn(error, err)
            coroutine.yield()
        end)
        eddy.sleep(0)
    end)
end)

test("offload", function()
    eddy.run(function()
        local a, b, c, d = eddy.offload(function(x, y, z) return x + 1, y .. "!", z, nil end, 1, "y", 0.5)
        equal(a, 2) equal(b, "y!") equal(c, 0.5) equal(d, nil)
        equal(math.type(a), "integer")
        raises("no good", eddy.offload, function() error("no good") end)
        raises("can't travel", eddy.offload, function() return {} end)
        raises("number or string expected", eddy.offload, function() end, {})
        raises("written in Lua", eddy.offload, print)
        -- An endless loop is stopped.
        raises(eddy.timed_out, eddy.timeout, 0.005, eddy.offload, function() while true do end end)
    end)
end)

test("waiting where that is impossible is an error", function()
    raises("nothing runs", eddy.queue)
    raises("only a task", eddy.sleep, 0)
    eddy.run(function()
        raises("inside of eddy.run", eddy.run, print)
        local inner = coroutine.wrap(function() eddy.sleep(0) end)
        raises("a coroutine inside of a task", inner)
        raises("can't wait across a C function", table.sort, {1, 2, 3}, function() eddy.sleep(0) end)
        -- Plain coroutines work as ever, and a yield of the task itself lets the others go.
        local list, n = {}, 0
        for x in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do list[#list + 1] = x end
        equal(table.concat(list), "123")
        eddy.spawn(function() n = 1 end)
        equal(select("#", coroutine.yield("nobody's")), 0)
        equal(n, 1)
    end)
    raises("nothing can finish", eddy.run, function() eddy.event():wait() end)
end)

test("objects outlive the loop, and say so", function()
    local queue, lock, task
    eddy.run(function()
        queue, lock = eddy.queue(), eddy.lock()
        queue:put({})
        task = eddy.spawn(eddy.sleep)
    end)
    raises(eddy.closed, queue.try_put, queue, 1)
    raises(eddy.closed, lock.try_acquire, lock)
    equal(task:done(), true)
    equal(eddy.run(function() return "again" end), "again")
    raises("another loop", function() eddy.run(function() queue:put(1) end) end)
end)

test("rings are collected", function()
    local weak = setmetatable({}, {__mode = "k"})
    eddy.run(function()
        do
            local queue = eddy.queue()
            queue:put({queue})
            weak[queue] = true
            local task
            task = eddy.spawn(function() return {task} end)
            task:await()
            weak[task] = true
            local bad
            bad = eddy.spawn(function() error({bad}) end)
            pcall(bad.await, bad)
            weak[bad] = true
        end
        eddy.sleep(0)
        for _ = 1, 3 do
            collectgarbage()
            eddy.sleep(0)
        end
        equal(next(weak), nil)
    end)
end)

test("references are dropped in any order", function()
    collectgarbage("generational")
    eddy.run(function()
        for i = 1, 300 do
            local queue, event, lock = eddy.queue(1), eddy.event(), eddy.lock()
            eddy.spawn(function() queue:put(i) queue:put(i) end)
            eddy.spawn(function() event:wait() end)
            eddy.spawn(function() local guard <close> = lock:hold() eddy.sleep(60) end)
            eddy.spawn(function() eddy.gather(eddy.sleep, function() queue:join() end) end)
            local group = eddy.group()
            group:spawn(eddy.sleep)
            if i % 10 == 0 then
                eddy.sleep(0)
                collectgarbage(i % 20 == 0 and "collect" or "step")
            end
        end
    end)
    collectgarbage("incremental")
    collectgarbage()
end)

test("what goes on can be seen", function()
    eddy.run(function()
        equal(eddy.current():name("main"), "main")
        local before = eddy.now()
        local task = eddy.spawn(function() eddy.sleep(60) end)
        task:name("waiter")
        eddy.sleep(0.002)
        assert(eddy.now() - before >= 0.002)
        assert(eddy.dump():find("waiter"), eddy.dump())
        assert(eddy.dump():find("sleep"))
    end)
    equal(eddy.current(), nil)
end)

test("deep recursion and many results", function()
    eddy.run(function()
        local function depth(n) eddy.sleep(0) return n == 0 and 0 or 1 + depth(n - 1) end
        equal(depth(500), 500)
        equal(select("#", eddy.spawn(function() return table.unpack({}, 1, 5000) end):await()), 5000)
        local ok, err = pcall(function()
            local function forever() return 1 + forever() end
            forever()
        end)
        equal(ok, false)
        assert(err:find("stack overflow"))
    end)
end)

test("Ctrl-C cancels the main task, which cleans up", function()
    local stat = io.open("/proc/self/stat")
    if not stat then return end -- no way to know our number
    local pid = stat:read("n")
    stat:close()
    local order = {}
    raises("interrupted!", eddy.run, function()
        os.execute("(sleep 0.1; kill -INT " .. pid .. ") &")
        local x <close> = closing(order, "x", true)
        eddy.sleep(60)
    end)
    equal(order[1], "x cancelled")
end)

local failed = 0
for _, name in ipairs(names) do
    local wanted = #arg == 0
    for _, word in ipairs(arg) do wanted = wanted or name:find(word, 1, true) end
    if wanted then
        local ok, err = xpcall(tests[name], debug.traceback)
        if not ok then
            failed = failed + 1
            print("FAILED " .. name .. "\n" .. tostring(err))
        end
    end
end
print(#names .. " tests, " .. failed .. " failed")
os.exit(failed == 0, true)
