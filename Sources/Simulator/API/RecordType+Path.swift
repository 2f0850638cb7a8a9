import Model

extension RecordType {
    /// The type that a path names: plural, type id, and in association paths singular too.
    init?(pathName: some StringProtocol, allowsSingular: Bool = false) {
        guard
            let type = RecordType.allCases.first(where: { type in
                pathName == type.rawValue || pathName == type.objectTypeId || (allowsSingular && pathName == type.singular)
            })
        else { return nil }
        self = type
    }
}
