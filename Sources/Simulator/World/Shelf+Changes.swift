import Model

extension Shelf {
    /// A new id: higher than all others, with a gap.
    mutating func takeId() -> Int64 {
        defer { nextId += 1 + Int64(SeededRandom.mixed(UInt64(nextId)) % 900) }
        return nextId
    }

    /// - Throws: `.invalid`, or `.conflict` when another record than `id` holds a unique value.
    func check(_ properties: [String: String], for id: Int64?) throws(WorldError) {
        var problems: [WorldError.Problem] = []
        for name in properties.keys.sorted() {
            guard let definition = catalog[name] else {
                problems.append(
                    .init(property: name, code: "PROPERTY_DOESNT_EXIST", message: "Property \"\(name)\" does not exist"))
                continue
            }
            let value = properties[name] ?? ""
            if definition.isReadOnly {
                problems.append(
                    .init(
                        property: name, code: "READ_ONLY_VALUE",
                        message: "\"\(name)\" is a read only property; its value cannot be set"))
            } else if definition.type == "enumeration", !definition.options.isEmpty, !value.isEmpty,
                !value.split(separator: ";").allSatisfy({ part in definition.options.contains { $0.value == part } })
            {
                problems.append(
                    .init(property: name, code: "INVALID_OPTION", message: "\(value) was not one of the allowed options of \(name)")
                )
            } else if value.utf16.count > 65_536 {
                problems.append(.init(property: name, code: "VALUE_TOO_LONG", message: "\(name) is longer than 65536 characters"))
            }
        }
        guard problems.isEmpty else { throw WorldError(kind: .invalid(problems)) }
        for name in ["email", "external_id"] {
            if let value = properties[name], !value.isEmpty, let holder = holder(of: value, property: name), holder.id != id {
                throw WorldError(kind: .conflict(existing: holder.id))
            }
        }
    }

    /// A value as webhook events tell it: dates as milliseconds since 1970, where the REST API has ISO 8601.
    func told(_ name: String, _ value: String) -> String {
        guard let type = catalog[name]?.type, type == "date" || type == "datetime", let time = Timestamp(property: value)
        else { return value }
        return String(time.milliseconds)
    }

    /// The values that a merge gives to `primary`: those it lacks and `other` has.
    func valuesMoved(to primary: Entry, from other: Entry) -> [String: String] {
        var moved: [String: String] = [:]
        for definition in catalog.all where !definition.isReadOnly && definition.filler != .createdAt {
            guard value(definition.name, of: primary) == nil, let value = value(definition.name, of: other) else { continue }
            moved[definition.name] = value
        }
        return moved
    }

    /// Adds a record that did not exist.
    mutating func insert(_ entry: Entry, now: Int64, lag: Int64) {
        var entry = entry
        entry.past = lag > 0 ? [(now, nil)] : []
        entries[entry.id] = entry
        created.append(entry.id)
        liveCount += 1
        noteUnique(entry)
        version += 1
    }

    /// Puts the new state of a record in the place of the old one.
    mutating func replace(_ entry: Entry, now: Int64, lag: Int64) {
        var entry = entry
        let old = self.entry(entry.id)
        if lag > 0 {
            entry.past.removeAll { $0.until <= now - lag }
            entry.past.append((now, old?.state))
        } else {
            entry.past = []
        }
        if old?.state.fate == .live { liveCount -= 1 }
        if old?.state.fate == .archived { archived.removeSorted(entry.id) }
        if entry.state.fate == .live { liveCount += 1 }
        if entry.state.fate == .archived { archived.insertSorted(entry.id) }
        entries[entry.id] = entry
        noteUnique(entry)
        version += 1
    }

    private mutating func noteUnique(_ entry: Entry) {
        if let email = entry.state.changes["email"], !email.isEmpty { emails[email.lowercased()] = entry.id }
        if let external = entry.state.changes["external_id"], !external.isEmpty { externalIds[external] = entry.id }
    }
}
