import Hummingbird

/// The pages' templates, which stand as files in `Files` and are part of the binary.
struct Templates: Sendable {
    private let templates: [String: Template]

    init() throws {
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
        templates = try files.mapValues { try Template(String(decoding: $0, as: UTF8.self)) }
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
        guard let template = templates[name] else { preconditionFailure("there is no template \(name)") }
        return template.render(values, templates)
    }
}
