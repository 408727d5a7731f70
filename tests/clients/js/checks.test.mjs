// The official JavaScript client against a running front: SLUICE_TEST_URL and SLUICE_TEST_PASSWORD say where.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'

import { ClickHouseError, createClient } from '@clickhouse/client'

const where = { url: process.env.SLUICE_TEST_URL, username: 'default', password: process.env.SLUICE_TEST_PASSWORD }
const client = createClient(where)
const table = 'js_checks'

const rows = async (query, options = {}) =>
  (await client.query({ query, format: 'JSONEachRow', ...options })).json()

before(async () => {
  await client.command({ query: `CREATE OR REPLACE TABLE ${table} (id UInt64, s String) ENGINE = MergeTree ORDER BY id` })
})
after(async () => {
  await client.command({ query: `DROP TABLE IF EXISTS ${table}` })
  await client.close()
})

test('ping, with and without a query', async () => {
  assert.equal((await client.ping()).success, true)
  assert.equal((await client.ping({ select: true })).success, true)
  const stranger = createClient({ ...where, password: 'wrong' })
  assert.equal((await stranger.ping({ select: true })).success, false)
  await stranger.close()
})

test('inserts of objects, of text and of streams', async () => {
  const values = [{ id: '1', s: 'one' }, { id: '2', s: 'zwei é 🦆' }]
  const done = await client.insert({ table, values, format: 'JSONEachRow' })
  assert.equal(done.executed, true)
  assert.equal(done.summary.written_rows, '2')
  await client.insert({ table, values: Readable.from(['3,three\n', '4,four\n'], { objectMode: false }), format: 'CSV' })
  await client.insert({ table, values: Readable.from([{ id: '5', s: 'five' }]), format: 'JSONEachRow' })
  assert.deepEqual(
    (await rows(`SELECT s FROM ${table} ORDER BY id`)).map((row) => row.s),
    ['one', 'zwei é 🦆', 'three', 'four', 'five'])
})

test('parameters are values, never SQL', async () => {
  const found = await rows('SELECT {s: String} AS s, {n: Array(UInt8)} AS n', { query_params: { s: "a' OR 1 --\n", n: [1, 2] } })
  assert.deepEqual(found, [{ s: "a' OR 1 --\n", n: [1, 2] }])
})

test('compressed both ways', async () => {
  const packed = createClient({ ...where, compression: { request: true, response: true } })
  await packed.command({ query: 'CREATE OR REPLACE TABLE js_packed (id UInt64) ENGINE = MergeTree ORDER BY id' })
  await packed.insert({ table: 'js_packed', values: Array.from({ length: 1000 }, (_, id) => ({ id })), format: 'JSONEachRow' })
  const result = await packed.query({ query: 'SELECT sum(id) AS total FROM js_packed', format: 'JSON' })
  assert.deepEqual((await result.json()).data, [{ total: 499500 }])
  await packed.command({ query: 'DROP TABLE js_packed' })
  await packed.close()
})

test('a long result arrives as a stream', async () => {
  const result = await client.query({ query: 'SELECT number FROM numbers(300000)', format: 'JSONEachRow' })
  let count = 0
  for await (const piece of result.stream()) count += piece.length
  assert.equal(count, 300000)
})

test('sessions keep temporary tables, and only theirs', async () => {
  const session = createClient({ ...where, session_id: randomUUID() })
  await session.command({ query: 'CREATE TEMPORARY TABLE mine (n UInt8)' })
  await session.insert({ table: 'mine', values: [{ n: 7 }], format: 'JSONEachRow' })
  const found = await session.query({ query: 'SELECT n FROM mine', format: 'JSONEachRow' })
  assert.deepEqual(await found.json(), [{ n: 7 }])
  await session.close()
  await assert.rejects(client.query({ query: 'SELECT n FROM mine' }), (error) => error.code === '60')
})

test('settings and query ids', async () => {
  const query_id = randomUUID()
  const result = await client.query({
    query: "SELECT getSetting('max_threads') AS threads", format: 'JSONEachRow', query_id,
    clickhouse_settings: { max_threads: 3 } })
  assert.equal(result.query_id, query_id)
  assert.deepEqual(await result.json(), [{ threads: 3 }])
})

test('progress in the answer', async () => {
  const result = await client.query({ query: 'SELECT number FROM numbers(5)', format: 'JSONEachRowWithProgress' })
  const kinds = new Set((await result.json()).flatMap((row) => Object.keys(row)))
  assert.ok(kinds.has('row') && kinds.has('progress'), [...kinds].join())
})

test('progress in headers while a statement runs', async () => {
  const result = await client.command({
    query: `INSERT INTO ${table} SELECT 1000 + number, toString(sleepEachRow(0.001)) FROM numbers(1500) SETTINGS max_block_size = 50`,
    clickhouse_settings: { send_progress_in_http_headers: 1, http_headers_progress_interval_ms: '110', wait_end_of_query: 1 } })
  const progress = result.response_headers['x-clickhouse-progress']
  assert.ok(progress, 'no progress header')
  assert.equal(result.summary.written_rows, '1500')
})

test('errors carry code and name', async () => {
  await assert.rejects(client.query({ query: 'SELECT * FROM no_such_table' }), (error) => {
    assert.ok(error instanceof ClickHouseError)
    assert.deepEqual([error.code, error.type], ['60', 'UNKNOWN_TABLE'])
    return true
  })
})

test('an error in the middle of a stream is an error', async () => {
  const result = await client.query({
    query: "SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000)", format: 'JSONEachRow' })
  await assert.rejects(async () => { for await (const _ of result.stream()); }, /boom/)
})

test('an aborted query is cancelled', async () => {
  const controller = new AbortController()
  const query = "SELECT sleepEachRow(0.01) AS aborted_by_js FROM numbers(100000) SETTINGS max_block_size = 1"
  const asked = client.query({ query, format: 'JSONEachRow', abort_signal: controller.signal })
    .then(async (result) => { for await (const _ of result.stream()); })
  const running = async () =>
    Number((await rows("SELECT count() AS n FROM system.processes WHERE query LIKE '%aborted_by_js%' AND query NOT LIKE '%processes%'"))[0].n)
  for (let tries = 0; (await running()) === 0 && tries < 100; tries++) await new Promise((done) => setTimeout(done, 50))
  controller.abort()
  await assert.rejects(asked)
  for (let tries = 0; (await running()) !== 0 && tries < 100; tries++) await new Promise((done) => setTimeout(done, 50))
  assert.equal(await running(), 0)
})

test('whole-result formats and exec', async () => {
  const parquet = await client.exec({ query: 'SELECT number FROM numbers(3) FORMAT Parquet' })
  const pieces = []
  for await (const piece of parquet.stream) pieces.push(piece)
  assert.equal(Buffer.concat(pieces).subarray(0, 4).toString(), 'PAR1')
  const result = await client.query({ query: 'SELECT 1 AS one', format: 'JSON' })
  const answer = await result.json()
  assert.deepEqual(answer.data, [{ one: 1 }])
  assert.equal(answer.rows, 1)
})
