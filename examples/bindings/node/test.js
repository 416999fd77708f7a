'use strict'
// EDDY_NODE=…/eddy.node node test.js
const assert = require('node:assert')
const { test } = require('node:test')
const { Worker, isMainThread } = require('node:worker_threads')
const eddy = require('./eddy.js')

if (!isMainThread) {
  // A worker that ends in the middle of everything.
  eddy.sleep(60000).catch(() => {})
  eddy.primes(4000000000).catch(() => {})
  new eddy.Queue().get().catch(() => {})
  eddy.sleep(5).then(() => process.exit(7))
} else {
  test('what waits for a promise of eddy runs, among Node\'s own', async () => {
    const order = []
    const timer = new Promise((resolve) => setTimeout(resolve, 2, 'node'))
    await Promise.all([
      eddy.sleep(30).then(() => order.push(30)),
      eddy.sleep(1).then(() => order.push(1)),
      timer.then((value) => assert.strictEqual(value, 'node')),
    ])
    assert.deepStrictEqual(order, [1, 30])
  })

  test('a queue gives what it was given, in order', async () => {
    const queue = new eddy.Queue(2)
    const things = [{}, 'b', null, undefined, queue]
    const got = []
    const consumer = (async () => {
      for await (const item of queue) got.push(item)
    })()
    for (const thing of things) await queue.put(thing)
    queue.close()
    await consumer
    assert.strictEqual(got.length, things.length)
    things.forEach((thing, i) => assert.strictEqual(got[i], thing))
    await assert.rejects(queue.put(1), { code: 'EDDY_ECLOSED' })
  })

  test('a get that is aborted or late loses nothing', async () => {
    const queue = new eddy.Queue()
    await assert.rejects(queue.get({ timeout: 1 }), { code: 'EDDY_ETIMEDOUT' })
    const abort = new AbortController()
    const waiting = queue.get({ signal: abort.signal })
    abort.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    await assert.rejects(queue.get({ signal: abort.signal }), /enough/)
    await queue.put('kept')
    assert.strictEqual(await queue.get({ signal: new AbortController().signal }), 'kept')
  })

  test('a worker thread counts, and stops when it is told', async () => {
    assert.strictEqual(await eddy.primes(1000), 168)
    await assert.rejects(eddy.primes(4000000000, { timeout: 5 }), { code: 'EDDY_ETIMEDOUT' })
  })

  test('wrong arguments throw', () => {
    assert.throws(() => eddy.sleep('x'), TypeError)
    assert.throws(() => eddy.primes('x'), TypeError)
  })

  test('a Worker has a loop of its own, and may end at any time', async () => {
    const code = await new Promise((resolve, reject) => {
      new Worker(__filename).on('exit', resolve).on('error', reject)
    })
    assert.strictEqual(code, 7)
  })

  test('many at once', async () => {
    const queue = new eddy.Queue(10)
    let sum = 0
    const consumers = Array.from({ length: 50 }, async () => {
      for await (const n of queue) sum += n
    })
    for (let n = 0; n < 2000; n++) await queue.put(n)
    queue.close()
    await Promise.all(consumers)
    assert.strictEqual(sum, 1999000)
  })
}
