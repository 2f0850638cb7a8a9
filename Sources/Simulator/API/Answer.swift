import Bytes

/// What goes back for a call, and how.
struct Answer: Sendable {
    enum Manner: Sendable, Equatable {
        case whole
        /// The head promises all of the body; half of it follows, then the connection ends.
        case cut
        /// Nothing is answered; the connection is reset.
        case reset
    }

    var status: Int
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var manner = Manner.whole
    /// Time that the answer takes.
    var delay = Duration.zero

    init(_ status: Int, json body: [UInt8] = []) {
        self.status = status
        self.body = body
        if !body.isEmpty { headers = [("Content-Type", "application/json;charset=utf-8")] }
    }

    init(_ status: Int, html title: String) {
        self.status = status
        body = Array(
            "<html>\r\n<head><title>\(status) \(title)</title></head>\r\n<body>\r\n<center><h1>\(status) \(title)</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
                .utf8)
        headers = [("Content-Type", "text/html")]
    }

    /// An answer whose JSON object `body` writes.
    static func object(_ status: Int = 200, _ body: (inout JSONWriter) -> Void) -> Answer {
        var writer = JSONWriter()
        writer.object(body)
        return Answer(status, json: writer.finish())
    }

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
}
