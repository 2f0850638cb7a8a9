import HummingbirdCore

extension String {
    /// The first field of that name in `application/x-www-form-urlencoded` text, as queries and the bodies of forms are: a plus stands for
    /// a space there.
    func formField(_ name: String) -> String? {
        // Most are asked for and not there.
        let mayBeThere = utf8.split(separator: UInt8(ascii: "&")).contains { field in
            let key = field.prefix { $0 != UInt8(ascii: "=") }
            return key.elementsEqual(name.utf8) || key.contains { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }
        }
        guard mayBeThere else { return nil }
        let query = utf8.contains(UInt8(ascii: "+")) ? String(map { $0 == "+" ? " " : $0 }) : self
        return URI("/?" + query).queryParameters[Substring(name)].map(String.init)
    }
}
