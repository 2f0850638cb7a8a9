public import Model
import NIOConcurrencyHelpers

extension World {
    /// Makes random changes, the same ones for the same seed and the same world.
    ///
    /// - Parameter types: where; each kind of change picks one of them at random.
    /// - Returns: how many changes of each kind happened; a kind that finds nothing to change is passed over.
    @discardableResult
    public func mutate(
        changes: Int, mix: [Mutation: Double] = Mutation.defaultMix, types: [RecordType] = RecordType.allCases, seed: UInt64
    ) -> [Mutation: Int] {
        var random = SeededRandom(seed: seed)
        var done: [Mutation: Int] = [:]
        let kinds = Mutation.allCases.filter { mix[$0] ?? 0 > 0 }
        let sum = kinds.reduce(0) { $0 + (mix[$1] ?? 0) }
        let types = types.sorted().filter { count($0) > 0 || archivedCount($0) > 0 || (mix[.create] ?? 0) > 0 }
        guard sum > 0, !types.isEmpty else { return [:] }
        for _ in 0..<changes {
            var chance = random.unit() * sum
            var kind = kinds[kinds.count - 1]
            for candidate in kinds {
                chance -= mix[candidate] ?? 0
                if chance < 0 {
                    kind = candidate
                    break
                }
            }
            // What cannot be done (nothing to restore, an email that is taken) is passed over.
            if (try? mutate(kind, types[Int.random(in: 0..<types.count, using: &random)], &random)) == true {
                done[kind, default: 0] += 1
            }
        }
        return done
    }

    private func mutate(_ kind: Mutation, _ type: RecordType, _ random: inout SeededRandom) throws(WorldError) -> Bool {
        switch kind {
        case .update:
            guard let id = randomLive(type, &random) else { return false }
            // An edit that changes nothing is told to nobody, and a mirror could not know of its new date.
            let changes = randomProperties(type, &random).filter { value(type, id, $0.key) ?? "" != $0.value }
            guard !changes.isEmpty else { return false }
            try update(type, id, changes, source: "CRM_UI")
        case .create:
            var properties = randomProperties(type, &random)
            switch type {
            case .contacts: properties["email"] = "new\(random.next() % 1_000_000_000_000)@example.net"
            case .companies: properties["name"] = "New company \(random.next() % 1000)"
            case .deals:
                properties["dealname"] = "New deal \(random.next() % 1000)"
                properties["pipeline"] = "default"
                properties["dealstage"] = "qualifiedtobuy"
            }
            try create(type, properties, source: "IMPORT")
        case .delete:
            guard let id = randomLive(type, &random) else { return false }
            try archive(type, id)
        case .restore:
            let bin = state.withLockedValue { $0.shelves[type]!.archived }
            guard !bin.isEmpty else { return false }
            try restore(type, bin[Int.random(in: 0..<bin.count, using: &random)])
        case .merge:
            guard let primary = randomLive(type, &random), let other = randomLive(type, &random), primary != other else {
                return false
            }
            try merge(type, primary: primary, other: other)
        case .associate:
            let to = RecordType.allCases[Int.random(in: 0..<3, using: &random)]
            guard let id = randomLive(type, &random), let other = randomLive(to, &random), type != to || id != other else {
                return false
            }
            try associate(type, id, to, other, primary: random.next() % 2 == 0)
        case .dissociate:
            let to = RecordType.allCases[Int.random(in: 0..<3, using: &random)]
            guard let id = randomLive(type, &random), let other = associatedIds(type, id, to: to).first else { return false }
            dissociate(type, id, to, other)
        case .gdpr:
            guard let id = randomLive(.contacts, &random) else { return false }
            try gdprDelete(id)
        }
        return true
    }

    private func randomLive(_ type: RecordType, _ random: inout SeededRandom) -> Int64? {
        state.withLockedValue { state in
            let total = state.shelves[type]!.seeds.count + state.shelves[type]!.created.count
            guard total > 0 else { return nil }
            for _ in 0..<50 {
                let place = Int.random(in: 0..<total, using: &random)
                let seeded = state.shelves[type]!.seeds.count
                let id = place < seeded ? state.shelves[type]!.seeds.id(place) : state.shelves[type]!.created[place - seeded]
                if state.shelves[type]!.entries[id].map({ $0.state.fate == .live }) ?? true { return id }
            }
            return nil
        }
    }

    /// One to three values for properties that anyone may write.
    private func randomProperties(_ type: RecordType, _ random: inout SeededRandom) -> [String: String] {
        let definitions = state.withLockedValue { $0.shelves[type]!.catalog.seeded }
        var properties: [String: String] = [:]
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let definition = definitions[Int.random(in: 0..<definitions.count, using: &random)]
            guard !definition.isReadOnly else { continue }
            let bits = random.next()
            switch definition.filler {
            case .text, .address, .organisation, .firstName, .lastName, .phone:
                properties[definition.name] = String(
                    decoding: SeededValues.hardTexts[Int(bits % UInt64(SeededValues.hardTexts.count))].plain, as: UTF8.self)
            case .number, .integer, .money: properties[definition.name] = String(bits % 1_000_000)
            case .bool: properties[definition.name] = bits % 2 == 0 ? "true" : "false"
            case .choice, .choices:
                if !definition.options.isEmpty {
                    properties[definition.name] = definition.options[Int(bits % UInt64(definition.options.count))].value
                }
            case .date: properties[definition.name] = "20\(10 + bits % 20)-0\(1 + bits >> 8 % 9)-\(10 + bits >> 16 % 19)"
            default: break
            }
        }
        if properties.isEmpty {
            let name = type == .contacts ? "firstname" : type == .companies ? "name" : "dealname"
            properties[name] = "Changed \(random.next() % 1_000_000)"
        }
        return properties
    }
}
