'use strict'
const eddy = require('./eddy.js')

async function main() {
  const queue = new eddy.Queue(10)
  let sum = 0
  const consume = async () => {
    for await (const n of queue) {
      await eddy.sleep(n % 3)
      sum += n
    }
  }
  const consumers = Array.from({ length: 5 }, consume)
  for (let n = 0; n < 100; n++) await queue.put(n)
  queue.close()
  await Promise.all(consumers)
  console.log(sum)
  console.log(await eddy.primes(100000))
  await eddy.sleep(60000, { timeout: 5 }).catch((error) => console.log(error.code))
}

main()
