'use strict'
// eddy as promises. Everything that waits takes { signal, timeout }: an AbortSignal, and milliseconds.
const native = require(process.env.EDDY_NODE || './eddy.node')

function wait(started, { signal } = {}) {
  const { promise, op } = started
  if (!signal) return promise
  const cancel = () => native.cancel(op)
  if (signal.aborted) cancel()
  else signal.addEventListener('abort', cancel, { once: true })
  return promise
    .catch((error) => {
      throw error.code === 'EDDY_ECANCELED' && signal.aborted ? signal.reason : error
    })
    .finally(() => signal.removeEventListener('abort', cancel))
}

const sleep = (milliseconds, options = {}) => wait(native.sleep(milliseconds, options.timeout), options)

// How many primes there are below n, counted on a worker thread.
const primes = (n, options = {}) => wait(native.primes(n, options.timeout), options)

// In eddy's queue are numbers; what they stand for is here, where the garbage collector sees it.
class Queue {
  #queue
  #items = new Map()
  #last = 0

  constructor(capacity = 0) {
    this.#queue = native.queue(capacity)
  }

  async put(item, options = {}) {
    const number = ++this.#last
    this.#items.set(number, item)
    try {
      await wait(native.put(this.#queue, number, options.timeout), options)
    } catch (error) {
      this.#items.delete(number)
      throw error
    }
  }

  // Rejects with EDDY_ECLOSED when the queue is closed and empty.
  async get(options = {}) {
    const number = await wait(native.get(this.#queue, options.timeout), options)
    const item = this.#items.get(number)
    this.#items.delete(number)
    return item
  }

  close() {
    native.close(this.#queue)
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      try {
        yield await this.get()
      } catch (error) {
        if (error.code === 'EDDY_ECLOSED') return
        throw error
      }
    }
  }
}

module.exports = { Queue, primes, sleep }
