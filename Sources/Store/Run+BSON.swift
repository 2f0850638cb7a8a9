import Bytes
import Model

extension Run {
    var document: BSONDocument {
        var writer = BSONWriter(capacity: 512)
        writer.append("_id", id)
        writer.append("scope", scope.name)
        if let limit = scope.limit { writer.append("limit", Int64(limit)) }
        writer.append("state", state.rawValue)
        writer.append("startedAt", date: startedAt.milliseconds)
        writer.append("finishedAt", date: finishedAt?.milliseconds)
        writer.append("heartbeatAt", date: heartbeatAt.milliseconds)
        writer.append("failureCode", failureCode?.rawValue)
        writer.append("resumptions", Int64(resumptions))
        writer.append("errorMessages", array: errorMessages)
        writer.document("byType") { types in
            for (type, progress) in byType.sorted(by: { $0.key < $1.key }) {
                types.document(type.rawValue) { progress.write(to: &$0) }
            }
        }
        return BSONDocument(bytes: writer.finish())
    }

    /// nil for a document that this version cannot read.
    init?(document: BSONDocument) {
        guard let id = document["_id"]?.string, let name = document["scope"]?.string,
            let scope = SyncScope(name: name, limit: document["limit"]?.integer.map(Int.init)),
            let state = document["state"]?.string.flatMap(State.init), let startedAt = document["startedAt"]?.milliseconds
        else { return nil }
        self.init(id: id, scope: scope, startedAt: Timestamp(milliseconds: startedAt))
        self.state = state
        finishedAt = document["finishedAt"]?.milliseconds.map(Timestamp.init(milliseconds:))
        if let beat = document["heartbeatAt"]?.milliseconds { heartbeatAt = Timestamp(milliseconds: beat) }
        failureCode = document["failureCode"]?.string.flatMap(FailureCode.init)
        resumptions = document["resumptions"]?.integer.map(Int.init) ?? 0
        errorMessages = document["errorMessages"]?.array?.compactMap(\.string) ?? []
        for type in scope.types {
            if let progress = document["byType"]?.document?[type.rawValue]?.document { byType[type] = TypeProgress(document: progress) }
        }
    }
}

extension TypeProgress {
    fileprivate func write(to writer: inout BSONWriter) {
        writer.append("synced", Int64(synced))
        writer.append("updated", Int64(updated))
        writer.append("unchanged", Int64(unchanged))
        writer.append("errors", Int64(errors))
        writer.append("archived", Int64(archived))
        if let total { writer.append("total", Int64(total)) }
        writer.append("isDone", isDone)
        writer.document("walk") { walk.write(to: &$0) }
    }

    fileprivate init(document: BSONDocument) {
        self.init()
        func count(_ name: String) -> Int? { document[name]?.integer.map(Int.init) }
        synced = count("synced") ?? 0
        updated = count("updated") ?? 0
        unchanged = count("unchanged") ?? 0
        errors = count("errors") ?? 0
        archived = count("archived") ?? 0
        total = count("total")
        isDone = document["isDone"]?.bool ?? false
        if let document = document["walk"]?.document { walk = Walk(document: document) }
    }
}

extension Walk {
    fileprivate func write(to writer: inout BSONWriter) {
        writer.array("open") { array in
            for (index, range) in open.enumerated() { array.document(at: index) { range.write(to: &$0) } }
        }
        writer.append("isCut", isCut)
    }

    fileprivate init(document: BSONDocument) {
        self.init(
            open: document["open"]?.array?.compactMap { $0.document.map(Range.init(document:)) } ?? [],
            isCut: document["isCut"]?.bool ?? false)
    }
}

extension Walk.Range {
    fileprivate func write(to writer: inout BSONWriter) {
        writer.append("above", above)
        if let first { writer.append("first", first) }
        if let through { writer.append("through", through) }
        if let after { writer.append("after", after) }
    }

    fileprivate init(document: BSONDocument) {
        self.init(
            above: document["above"]?.integer ?? 0, first: document["first"]?.integer, through: document["through"]?.integer,
            after: document["after"]?.string)
    }
}
