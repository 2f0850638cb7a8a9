import HummingbirdCore

extension String {
    /// The first field of that name in `application/x-www-form-urlencoded` text, as queries and the bodies of forms are: a plus stands for
    /// a space there.
    func formField(_ name: String) -> String? {
        let query = String(map { $0 == "+" ? " " : $0 })
        return URI("/?" + query).queryParameters[Substring(name)].map(String.init)
    }
}
