import Bytes

/// An answer that is an error, in HubSpot's words.
struct APIError: Error, Sendable {
    struct Detail: Sendable {
        var message: String
        var code: String?
        var place: String?
        var context: [(String, [String])] = []
    }

    var status: Int
    var message: String
    var category: String?
    var subCategory: String?
    var errors: [Detail] = []
    var context: [(String, [String])] = []
    var links: [(String, String)] = []
    var headers: [(String, String)] = []

    func answer(correlationId: String) -> Answer {
        var answer = Answer.object(status) { json in
            json.key("status")
            json.string("error")
            json.key("message")
            json.string(message)
            json.key("correlationId")
            json.string(correlationId)
            if let category {
                json.key("category")
                json.string(category)
            }
            if let subCategory {
                json.key("subCategory")
                json.string(subCategory)
            }
            if !errors.isEmpty {
                json.key("errors")
                json.array { json in
                    for detail in errors {
                        json.object { json in
                            json.key("message")
                            json.string(detail.message)
                            if let place = detail.place {
                                json.key("in")
                                json.string(place)
                            }
                            if let code = detail.code {
                                json.key("code")
                                json.string(code)
                            }
                            if !detail.context.isEmpty {
                                json.key("context")
                                json.strings(detail.context)
                            }
                        }
                    }
                }
            }
            if !context.isEmpty {
                json.key("context")
                json.strings(context)
            }
            if !links.isEmpty {
                json.key("links")
                json.object { json in
                    for (name, value) in links {
                        json.key(name)
                        json.string(value)
                    }
                }
            }
        }
        answer.headers += headers.map { (name: $0.0, value: $0.1) }
        return answer
    }

    // MARK: Those that HubSpot sends

    static func validation(_ message: String, code: String? = nil, in place: String? = nil) -> APIError {
        APIError(
            status: 400, message: message, category: "VALIDATION_ERROR",
            errors: [Detail(message: message, code: code, place: place)])
    }

    /// An unknown version or path: no category, as captured.
    static let noSuchPath = APIError(status: 404, message: "resource not found")

    static func noSuchRecord(_ id: String) -> APIError {
        APIError(
            status: 404, message: Int64(id) == nil ? "Object not found.  objectId are usually numeric." : "resource not found",
            category: "OBJECT_NOT_FOUND", context: [("id", [id])])
    }

    static func methodNotAllowed(_ method: String) -> APIError {
        APIError(status: 405, message: "HTTP \(method) is not supported on this path", category: "METHOD_NOT_ALLOWED")
    }

    static let badCredentials = APIError(
        status: 401,
        message:
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        category: "INVALID_AUTHENTICATION")

    static func missingScopes(_ scopes: [String]) -> APIError {
        APIError(
            status: 403,
            message:
                "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
            category: "MISSING_SCOPES",
            errors: [
                Detail(
                    message: "One or more of the following scopes are required.", context: [("requiredGranularScopes", scopes)])
            ], links: [("scopes", "https://developers.hubspot.com/scopes")])
    }

    init(
        status: Int, message: String, category: String? = nil, errors: [Detail] = [], context: [(String, [String])] = [],
        links: [(String, String)] = []
    ) {
        self.status = status
        self.message = message
        self.category = category
        self.errors = errors
        self.context = context
        self.links = links
    }

    /// Why a change was refused.
    init(_ error: WorldError, id: String = "") {
        switch error.kind {
        case .notFound: self = .noSuchRecord(id)
        case .conflict(let existing):
            self.init(status: 409, message: "Contact already exists. Existing ID: \(existing)", category: "CONFLICT")
        case .tooManyMerges: self.init(status: 414, message: "The record has been merged too often", category: "VALIDATION_ERROR")
        case .invalid(let problems):
            self.init(
                status: 400, message: "Property values were not valid: [" + problems.map(\.message).joined(separator: ", ") + "]",
                category: "VALIDATION_ERROR",
                errors: problems.map { Detail(message: $0.message, code: $0.code, context: [("propertyName", [$0.property])]) })
        }
    }
}

extension JSONWriter {
    /// An object of string lists.
    mutating func strings(_ members: [(String, [String])]) {
        object { json in
            for (name, values) in members {
                json.key(name)
                json.array { json in for value in values { json.string(value) } }
            }
        }
    }

    mutating func member(_ name: String, instant: Int64) {
        key(name)
        string(Instant.text(instant))
    }
}
