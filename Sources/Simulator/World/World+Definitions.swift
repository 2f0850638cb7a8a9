public import Model
import NIOConcurrencyHelpers

/// Changes of what describes records. HubSpot sends no event about them.
extension World {
    /// Removes a property definition that was added by `defineProperty`.
    ///
    /// - Returns: false when there is none.
    @discardableResult
    public func removeProperty(_ type: RecordType, name: String) -> Bool {
        state.withLockedValue { $0.shelves[type]!.catalog.remove(name) }
    }

    /// - Returns: the new owner's id.
    @discardableResult
    public func addOwner(firstName: String, lastName: String) -> Int64 {
        state.withLockedValue { state in
            let id = (state.owners.map(\.id).max() ?? 0) + 7
            state.owners.append(
                Owner(
                    id: id, email: "owner\(id)@example.com", firstName: firstName, lastName: lastName, userId: id + 11, isArchived: false))
            return id
        }
    }

    /// From then on the owner is listed among the archived ones.
    public func deactivateOwner(_ id: Int64) {
        state.withLockedValue { state in
            for index in state.owners.indices where state.owners[index].id == id { state.owners[index].isArchived = true }
        }
    }

    /// Adds a pipeline of deals with one stage.
    public func addPipeline(id: String, label: String) {
        let stage = Pipeline.Stage(id: id + "-open", label: "Open", probability: "0.5")
        state.withLockedValue { $0.pipelines.append(Pipeline(id: id, label: label, stages: [stage])) }
    }

    public func removePipeline(_ id: String) { state.withLockedValue { $0.pipelines.removeAll { $0.id == id } } }
}
