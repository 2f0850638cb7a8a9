import Hummingbird
import Mustache

/// The pages' templates, which stand as files in `Files` and are part of the binary.
struct Templates: Sendable {
    private let library: MustacheLibrary

    init() throws {
        MustacheContentTypes.register(Markup(), named: Markup.name)
        let files: [String: [UInt8]] = [
            "head": PackageResources.head_mustache, "bar": PackageResources.bar_mustache, "foot": PackageResources.foot_mustache,
            "login": PackageResources.login_mustache, "error": PackageResources.error_mustache,
            "overview": PackageResources.overview_mustache, "state": PackageResources.state_mustache,
            "mirror": PackageResources.mirror_mustache, "runs": PackageResources.runs_mustache, "flow": PackageResources.flow_mustache,
            "budget": PackageResources.budget_mustache, "deliveries": PackageResources.deliveries_mustache,
            "delivery": PackageResources.delivery_mustache, "failures": PackageResources.failures_mustache,
            "records": PackageResources.records_mustache, "record": PackageResources.record_mustache,
            "log": PackageResources.log_mustache,
        ]
        library = MustacheLibrary(
            templates: try files.mapValues { try MustacheTemplate(string: "{{% CONTENT_TYPE:\(Markup.name)}}" + String(decoding: $0, as: UTF8.self)) })
    }

    /// An error for people, with a way back.
    func page(of error: APIError) -> Response {
        let title =
            switch error.status {
            case .notFound: "Not found"
            case .badRequest: "That cannot be understood"
            case .methodNotAllowed: "Nothing to show"
            case .serviceUnavailable: "Not available now"
            default: "That did not work"
            }
        var response = Response.page(error.status, render("error", ["title": title, "message": error.message]))
        response.headers = error.headers(response.headers)
        return response
    }

    /// - Parameter values: escaped wherever a template names them.
    func render(_ name: String, _ values: [String: Any]) -> String {
        guard let html = library.render(values, withTemplate: name) else { preconditionFailure("there is no template \(name)") }
        return html
    }
}

/// Escapes for HTML, in text and in quoted attributes.
///
/// The library's own escaping goes by what a reader sees as one character: a quote with a combining accent behind it is not a quote to
/// it, but it is one to a browser.
struct Markup: MustacheContentType {
    static let name = "MARKUP"

    func escapeText(_ text: String) -> String {
        var escaped = String.UnicodeScalarView()
        escaped.reserveCapacity(text.unicodeScalars.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped.append(contentsOf: "&amp;".unicodeScalars)
            case "<": escaped.append(contentsOf: "&lt;".unicodeScalars)
            case ">": escaped.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": escaped.append(contentsOf: "&quot;".unicodeScalars)
            case "'": escaped.append(contentsOf: "&#39;".unicodeScalars)
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }
}
