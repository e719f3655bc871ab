// kafkajs and @platformatic/kafka, whose packages bring no tests of their own, on a cluster: two codecs that nobody here wrote.
// Run by suite_node.py, from the folder that the packages are installed in; $KAFKA_HOST has the brokers.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { after, before, describe, test } from 'node:test'

const require = createRequire(pathToFileURL(process.cwd() + '/'))
const brokers = process.env.KAFKA_HOST.split(',')
// Of everything of one package, in ms.
const timeout = 300_000
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

async function until(what, ask, seconds = 60) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > end) assert.fail(`not within ${seconds} s: ${what}`)
    await sleep(100)
  }
}

const start = Date.now()
const tag = start.toString(36)
const numbers = count => [...Array(count).keys()]

describe('kafkajs', { timeout }, () => {
  const { Kafka, CompressionTypes, ConfigResourceTypes, AclResourceTypes, AclOperationTypes, AclPermissionTypes, ResourcePatternTypes, logLevel } = require('kafkajs')
  const kafka = new Kafka({ clientId: 'kafkajs', brokers, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  const topic = name => `kafkajs-${tag}-${name}`
  const create = (name, numPartitions = 3) => admin.createTopics({ topics: [{ topic: topic(name), numPartitions, replicationFactor: 3 }], waitForLeaders: true })
  before(() => admin.connect())
  after(() => admin.disconnect())

  async function send(name, messages, producing = {}, sending = {}) {
    const producer = kafka.producer(producing)
    await producer.connect()
    const answer = await producer.send({ topic: topic(name), messages, ...sending })
    await producer.disconnect()
    return answer
  }

  async function read(name, groupId, count, options = {}) {
    const consumer = kafka.consumer({ groupId, ...options })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic(name)], fromBeginning: true })
    const seen = []
    await consumer.run({ eachMessage: async ({ partition, message }) => void seen.push({ partition, ...message }) })
    await until(`${count} records of ${name}`, () => seen.length >= count)
    await consumer.disconnect()
    return seen
  }

  test('describes the cluster', async () => {
    const cluster = await admin.describeCluster()
    assert.equal(cluster.brokers.length, 3)
    assert.equal(cluster.clusterId.length, 22)
  })
  test('creates, grows, lists and deletes topics', async () => {
    assert.equal(await create('grow'), true)
    assert.equal(await create('grow'), false)
    await admin.createPartitions({ topicPartitions: [{ topic: topic('grow'), count: 5 }] })
    const grown = async () => (await admin.fetchTopicMetadata({ topics: [topic('grow')] })).topics[0].partitions.length === 5
    await until('5 partitions', grown)
    assert((await admin.listTopics()).includes(topic('grow')))
    await admin.deleteTopics({ topics: [topic('grow')] })
    await until('no topic', async () => !(await admin.listTopics()).includes(topic('grow')))
  })
  for (const [codec, compression] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP]]) {
    for (const acks of [-1, 0, 1]) {
      test(`sends and reads with ${codec} and acks ${acks}`, async () => {
        const name = `${codec}${acks}`
        await create(name)
        await send(name, numbers(100).map(n => ({ key: `k${n % 7}`, value: `v${n}`, headers: { n: `${n}` }, timestamp: `${Date.now()}` })), {}, { acks, compression })
        const seen = await read(name, topic(name), 100)
        assert.deepEqual(seen.map(one => one.value.toString()).sort(), numbers(100).map(n => `v${n}`).sort())
        assert(seen.every(one => `v${one.headers.n}` === one.value.toString()))
      })
    }
  }
  test('sends idempotently', async () => {
    await create('idempotent', 1)
    await send('idempotent', numbers(50).map(n => ({ value: `${n}` })), { idempotent: true, maxInFlightRequests: 1 })
    assert.deepEqual((await read('idempotent', topic('idempotent'), 50)).map(one => one.value.toString()), numbers(50).map(String))
  })
  test('commits and aborts transactions with offsets', async () => {
    await create('txn', 1)
    const producer = kafka.producer({ transactionalId: topic('txn'), idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (const fate of ['abort', 'commit', 'abort', 'commit']) {
      const txn = await producer.transaction()
      await txn.send({ topic: topic('txn'), messages: [{ value: fate }] })
      await txn.sendOffsets({ consumerGroupId: topic('txn-group'), topics: [{ topic: topic('txn'), partitions: [{ partition: 0, offset: fate === 'commit' ? '2' : '9' }] }] })
      await txn[fate]()
    }
    await producer.disconnect()
    const seen = await read('txn', topic('txn-reader'), 2, { readUncommitted: false })
    assert.deepEqual(seen.map(one => one.value.toString()), ['commit', 'commit'])
    const committed = await admin.fetchOffsets({ groupId: topic('txn-group'), topics: [topic('txn')] })
    assert.equal(committed[0].partitions[0].offset, '2')
  })
  test('shares a topic in a group, and hands over what a member leaves', async () => {
    await create('shared', 4)
    const groupId = topic('shared')
    const members = numbers(2).map(() => kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500, rebalanceTimeout: 6000 }))
    const seen = members.map(() => new Set())
    for (const [at, member] of members.entries()) {
      await member.connect()
      await member.subscribe({ topics: [topic('shared')], fromBeginning: true })
      await member.run({ eachMessage: async ({ message }) => void seen[at].add(message.value.toString()) })
    }
    const state = async () => (await admin.describeGroups([groupId])).groups[0]
    await until('a stable group of two', async () => (await state()).state === 'Stable' && (await state()).members.length === 2)
    await send('shared', numbers(80).map(n => ({ value: `${n}`, partition: n % 4 })))
    await until('all, by both', () => new Set([...seen[0], ...seen[1]]).size === 80 && seen[0].size > 0 && seen[1].size > 0)
    await members[1].disconnect()
    await send('shared', numbers(80).map(n => ({ value: `later${n}`, partition: n % 4 })))
    await until('all, by the one left', () => numbers(80).every(n => seen[0].has(`later${n}`)))
    await members[0].disconnect()
    const offsets = await admin.fetchOffsets({ groupId, topics: [topic('shared')] })
    assert.deepEqual(offsets[0].partitions.map(one => one.offset).sort(), ['40', '40', '40', '40'])
    await admin.resetOffsets({ groupId, topic: topic('shared'), earliest: true })
    assert((await admin.listGroups()).groups.some(one => one.groupId === groupId))
    await admin.deleteGroups([groupId])
    assert(!(await admin.listGroups()).groups.some(one => one.groupId === groupId))
  })
  test('finds offsets by time and deletes records', async () => {
    await create('offsets', 1)
    await send('offsets', numbers(10).map(n => ({ value: `${n}`, timestamp: `${start + n}` })))
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(topic('offsets'), start + 4), [{ partition: 0, offset: '4' }])
    await admin.deleteTopicRecords({ topic: topic('offsets'), partitions: [{ partition: 0, offset: '6' }] })
    const [{ low, high }] = await admin.fetchTopicOffsets(topic('offsets'))
    assert.deepEqual([low, high], ['6', '10'])
  })
  test('describes and changes configs', async () => {
    await create('configs', 1)
    const asked = { resources: [{ type: ConfigResourceTypes.TOPIC, name: topic('configs'), configNames: ['retention.ms'] }], includeSynonyms: true }
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic('configs'), configEntries: [{ name: 'retention.ms', value: '60000000' }] }] })
    await until('the new value', async () => (await admin.describeConfigs(asked)).resources[0].configEntries[0].configValue === '60000000')
  })
  test('creates, describes and deletes ACLs', async () => {
    const entry = { resourceType: AclResourceTypes.TOPIC, resourceName: topic('acls'), resourcePatternType: ResourcePatternTypes.LITERAL, principal: 'User:x', host: '*', operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW }
    await admin.createAcls({ acl: [entry] })
    await until('the entry', async () => (await admin.describeAcls(entry)).resources.length === 1)
    const { filterResponses } = await admin.deleteAcls({ filters: [entry] })
    assert.equal(filterResponses[0].matchingAcls.length, 1)
  })
  test('moves a partition', async () => {
    await admin.createTopics({ topics: [{ topic: topic('move'), replicaAssignment: [{ partition: 0, replicas: [1, 2] }] }], waitForLeaders: true })
    await admin.alterPartitionReassignments({ topics: [{ topic: topic('move'), partitionAssignment: [{ partition: 0, replicas: [3, 2] }] }] })
    const replicas = async () => (await admin.fetchTopicMetadata({ topics: [topic('move')] })).topics[0].partitions[0].replicas.join()
    await until('the new replicas', async () => (await replicas()) === '3,2')
    await until('no move', async () => (await admin.listPartitionReassignments({})).topics.length === 0)
  })
})

describe('@platformatic/kafka', { timeout }, async () => {
  const { Admin, Producer, Consumer, stringSerializers, stringDeserializers, MessagesStreamModes, ConfigResourceTypes, ResourceTypes, AclOperations, AclPermissionTypes, ResourcePatternTypes, IncrementalAlterConfigOperationTypes, compressionsAlgorithms } = await import(pathToFileURL(require.resolve('@platformatic/kafka')))
  const common = { clientId: 'platformatic', bootstrapBrokers: brokers }
  const admin = new Admin(common)
  const topic = name => `platformatic-${tag}-${name}`
  const create = (name, partitions = 3) => admin.createTopics({ topics: [topic(name)], partitions, replicas: 3 })
  after(() => admin.close())

  async function send(name, messages, options = {}) {
    const producer = new Producer({ ...common, serializers: stringSerializers, autocreateTopics: false })
    const answer = await producer.send({ messages: messages.map(one => ({ topic: topic(name), ...one })), ...options })
    await producer.close()
    return answer
  }

  async function read(name, groupId, count, options = {}) {
    const consumer = new Consumer({ ...common, groupId, deserializers: stringDeserializers, ...options.joins })
    const stream = await consumer.consume({ topics: [topic(name)], mode: MessagesStreamModes.EARLIEST, autocommit: true, maxWaitTime: 500, ...options })
    const seen = []
    stream.on('data', one => seen.push(one))
    await until(`${count} records of ${name}`, () => seen.length >= count)
    await consumer.close(true)
    return seen
  }

  test('creates, grows, lists and deletes topics', async () => {
    const [made] = await create('grow')
    assert.deepEqual([made.name, made.partitions, made.replicas], [topic('grow'), 3, 3])
    await admin.createPartitions({ topics: [{ name: topic('grow'), count: 5, assignments: null }] })
    assert((await admin.listTopics()).includes(topic('grow')))
    const grown = async () => (await admin.metadata({ topics: [topic('grow')], forceUpdate: true })).topics.get(topic('grow')).partitionsCount === 5
    await until('5 partitions', grown)
    await admin.deleteTopics({ topics: [topic('grow')] })
    await until('no topic', async () => !(await admin.listTopics()).includes(topic('grow')))
  })
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    test(`sends and reads with ${compression}`, { skip: !compressionsAlgorithms[compression].available }, async () => {
      await create(compression)
      await send(compression, numbers(100).map(n => ({ key: `k${n % 7}`, value: `v${n}`, headers: { n: `${n}` } })), { compression, acks: -1 })
      const seen = await read(compression, topic(compression), 100)
      assert.deepEqual(seen.map(one => one.value).sort(), numbers(100).map(n => `v${n}`).sort())
      assert(seen.every(one => `v${one.headers.get('n')}` === one.value))
    })
  }
  for (const groupProtocol of ['classic', 'consumer']) {
    test(`goes on where the group is, ${groupProtocol} protocol`, async () => {
      const name = `group-${groupProtocol}`
      await create(name)
      await send(name, numbers(30).map(n => ({ key: `${n}`, value: `${n}` })), { idempotent: true, acks: -1 })
      const settings = groupProtocol === 'consumer' ? { groupProtocol } : { groupProtocol, sessionTimeout: 6000, heartbeatInterval: 500 }
      assert.equal((await read(name, topic(name), 30, { ...settings, mode: MessagesStreamModes.COMMITTED, fallbackMode: 'earliest', joins: settings })).length, 30)
      const [group] = await admin.listConsumerGroupOffsets({ groups: [topic(name)] })
      const committed = group.topics[0].partitions.reduce((sum, one) => sum + one.committedOffset, 0n)
      assert.equal(committed, 30n)
      await send(name, numbers(5).map(n => ({ key: `${n}`, value: `later${n}` })))
      const later = await read(name, topic(name), 5, { ...settings, mode: MessagesStreamModes.COMMITTED, joins: settings })
      assert.deepEqual(later.map(one => one.value).sort(), numbers(5).map(n => `later${n}`))
      const listed = (await admin.listGroups({ types: ['classic', 'consumer'] })).get(topic(name))
      assert.equal(listed.groupType, groupProtocol)
      await until('the group is gone', () => admin.deleteGroups({ groups: [topic(name)] }).then(() => true, () => false))
    })
  }
  test('commits and aborts transactions', async () => {
    await create('txn', 1)
    const producer = new Producer({ ...common, serializers: stringSerializers, idempotent: true, transactionalId: topic('txn') })
    for (const fate of ['abort', 'commit', 'abort', 'commit']) {
      const txn = await producer.beginTransaction()
      await txn.send({ messages: [{ topic: topic('txn'), value: fate }] })
      await txn[fate]()
    }
    await producer.close()
    // This client leaves out the markers, but not all that was aborted, on Apache Kafka neither.
    const seen = (await read('txn', topic('txn'), 3, { isolationLevel: 1 })).map(one => one.value)
    assert.deepEqual(seen.filter(value => value !== 'abort'), ['commit', 'commit'])
  })
  test('finds offsets and deletes records', async () => {
    await create('offsets', 1)
    await send('offsets', numbers(10).map(n => ({ value: `${n}`, timestamp: BigInt(start + n) })), { acks: -1 })
    const at = async timestamp => (await admin.listOffsets({ topics: [{ name: topic('offsets'), partitions: [{ partitionIndex: 0, timestamp }] }] }))[0].partitions[0].offset
    assert.deepEqual([await at(-2n), await at(BigInt(start + 4)), await at(-1n)], [0n, 4n, 10n])
    const [deleted] = await admin.deleteRecords({ topics: [{ name: topic('offsets'), partitions: [{ partition: 0, offset: 6n }] }] })
    assert.equal(deleted.partitions[0].lowWatermark, 6n)
    assert.equal(await at(-2n), 6n)
  })
  test('describes and changes configs', async () => {
    await create('configs', 1)
    const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic('configs') }
    await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [{ name: 'retention.ms', configOperation: IncrementalAlterConfigOperationTypes.SET, value: '60000000' }] }] })
    const value = async () => (await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }], includeSynonyms: true, includeDocumentation: true }))[0].configs[0].value
    await until('the new value', async () => (await value()) === '60000000')
  })
  test('creates, describes and deletes ACLs', async () => {
    const entry = { resourceType: ResourceTypes.TOPIC, resourceName: topic('acls'), resourcePatternType: ResourcePatternTypes.LITERAL, principal: 'User:x', host: '*', operation: AclOperations.READ, permissionType: AclPermissionTypes.ALLOW }
    const filter = { resourceType: ResourceTypes.TOPIC, resourceName: topic('acls'), resourcePatternType: ResourcePatternTypes.LITERAL, principal: null, host: null, operation: AclOperations.ANY, permissionType: AclPermissionTypes.ANY }
    await admin.createAcls({ creations: [entry] })
    await until('the entry', async () => (await admin.describeAcls({ filter })).length === 1)
    assert.equal((await admin.deleteAcls({ filters: [filter] })).length, 1)
  })
  test('sets and describes quotas', async () => {
    const entity = [{ entityType: 'client-id', entityName: topic('quota') }]
    await admin.alterClientQuotas({ entries: [{ entities: entity, ops: [{ key: 'producer_byte_rate', value: 1e6, remove: false }] }] })
    const described = () => admin.describeClientQuotas({ components: [{ entityType: 'client-id', matchType: 0, match: topic('quota') }], strict: false })
    await until('the quota', async () => (await described())[0]?.values[0]?.value === 1e6)
  })
  test('describes log directories', async () => {
    await create('dirs', 1)
    const dirs = await admin.describeLogDirs({ topics: [{ name: topic('dirs'), partitions: [0] }] })
    assert.deepEqual(dirs.map(one => one.broker).sort(), [1, 2, 3])
  })
})
