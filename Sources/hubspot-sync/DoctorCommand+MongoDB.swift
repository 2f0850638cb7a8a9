import Bytes
import Logging
import Model
import Mongo
import Store

extension DoctorCommand {
    private static let scratch = "doctor"
    /// Shares of the disk that are used.
    private static let diskWarning = 0.8, diskError = 0.95

    /// Version, replica set, what a confirmed write is worth, indexes, disk, and what the receiver refused.
    func checkMongoDB(_ settings: Settings, _ findings: inout Findings) async {
        let database: MongoDatabase
        do {
            database = try MongoDatabase(MongoSettings(uri: settings.mongodbURI, applicationName: "hubspot-sync doctor"))
        } catch {
            return findings.error("mongodb", "MONGODB_URI cannot be used: \(error.message)")
        }
        do {
            let version = try await database.run { try $0.command(["buildInfo": 1])["version"]?.string ?? "" }
            if Int(version.prefix { $0 != "." }) ?? 0 >= 5 {
                findings.ok("mongodb", "version \(version) at \(database.hosts), database \(database.name)")
            } else {
                findings.error("mongodb", "version \(version) is too old: 5.0 or newer is needed")
            }
            let hello = try await database.run { try $0.command(["hello": 1]) }
            let isSharded = hello["msg"]?.string == "isdbgrid"
            if let set = hello["setName"]?.string {
                let members = hello["hosts"]?.array?.count ?? 1
                findings.ok("replica set", "\(set), \(members) \(members == 1 ? "member" : "members")")
            } else if isSharded {
                findings.ok("replica set", "a sharded cluster, whose shards are replica sets")
            } else {
                findings.error(
                    "replica set",
                    "MongoDB runs alone: start it as a replica set (one member is enough), so that a confirmed write is a durable one")
            }
            await checkWrite(database, &findings)
            let store = Store(database: database, logger: Logger(label: "doctor"))
            try await checkIndexes(store, database, &findings)
            try await checkDisk(database, &findings)
            try await explainRejected(in: store.rejected, settings, &findings, all: false)
        } catch {
            findings.error("mongodb", "no usable answer from \(database.hosts): \((error as? MongoError)?.message ?? "\(error)")")
        }
        await database.shutDown()
    }

    /// A collection that does not exist yet has none, which is as it should be before the first start.
    private func checkIndexes(_ store: Store, _ database: MongoDatabase, _ findings: inout Findings) async throws {
        let missing = try await store.missingIndexes()
        func collection(of index: String) -> String { String(index.prefix { $0 != "." }) }
        let names = Set(missing.map(collection(of:)))
        let answer = try await database.run { client in
            try client.command(["listCollections": 1, "nameOnly": true, "filter": ["name": .anyOf(Array(names))]])
        }
        let present = Set(answer["cursor"]?.document?["firstBatch"]?.array?.compactMap { $0.document?["name"]?.string } ?? [])
        let lost = missing.filter { present.contains(collection(of: $0)) }
        if missing.isEmpty {
            findings.ok("indexes", "all there")
        } else if lost.isEmpty {
            findings.ok("indexes", "not there yet, nor are their collections: 'hubspot-sync serve' makes them at its start")
        } else {
            findings.error("indexes", "missing: \(lost.joined(separator: ", ")); 'hubspot-sync serve' makes them at its start")
        }
    }

    /// A document of our own is written as the inbox writes, majority and journaled, and removed again.
    private func checkWrite(_ database: MongoDatabase, _ findings: inout Findings) async {
        let id = BSONValue.string("\(UInt64.random(in: 0...UInt64.max))")
        let start = ContinuousClock.now
        do {
            try await database.run { client in
                let outcome = try client.insert([(["_id": id] as BSONDocument).bytes], into: DoctorCommand.scratch)
                if let failure = outcome.failures.first { throw failure.error }
            }
            let took = ContinuousClock.now - start
            try await database.run { client in
                try client.deleteMany(["_id": id], in: DoctorCommand.scratch)
                if try client.count(in: DoctorCommand.scratch) == 0 { _ = try client.command(["drop": .string(DoctorCommand.scratch)]) }
            }
            if took > .seconds(1) {
                findings.warn("durable write", "confirmed by the majority's journals, but only after \(took.short): webhooks wait for that; use a faster disk")
            } else {
                findings.ok("durable write", "confirmed by the majority's journals in \(took.short)")
            }
        } catch {
            let why = (error as? MongoError)?.message ?? "\(error)"
            findings.error(
                "durable write",
                "a write is not confirmed by the majority's journals: \(why); see that a majority of members is up and the user may write")
        }
    }

    private func checkDisk(_ database: MongoDatabase, _ findings: inout Findings) async throws {
        let stats = try await database.run { try $0.command(["dbStats": 1]) }
        func bytes(_ name: String) -> Double? { stats[name]?.double ?? stats[name]?.integer.map(Double.init) }
        guard let used = bytes("fsUsedSize"), let total = bytes("fsTotalSize"), total > 0 else {
            return findings.warn("disk", "MongoDB does not tell how full it is (a sharded or hosted one may not): watch it there")
        }
        let size = ((bytes("storageSize") ?? 0) + (bytes("indexSize") ?? 0)) / 1e6
        let text = "\(Int(used / total * 100)) % of \(Int(total / 1e9)) GB used, \(Int(size).grouped) MB of it by this database"
        if used / total > DoctorCommand.diskError {
            findings.error("disk", "\(text): make room now, MongoDB stops when it is full")
        } else if used / total > DoctorCommand.diskWarning {
            findings.warn("disk", "\(text): make room, or shorten EVENT_RETENTION")
        } else {
            findings.ok("disk", text)
        }
    }
}
