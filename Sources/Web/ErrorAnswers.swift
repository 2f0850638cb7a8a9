import HubSpot
import HTTPTypes
import Hummingbird
import Logging
import Model
import Mongo
import Store
import Sync

/// Turns whatever a handler throws into an answer of the contract's form. The one place where errors become statuses.
///
/// Where only people go, a browser that asks for a page gets one, with a way back.
struct ErrorAnswers: RouterMiddleware {
    let templates: Templates

    func handle(
        _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let isForPeople = ErrorAnswers.isForPeople(request)
            let answer = ErrorAnswers.answer(to: error, isForPeople: isForPeople)
            if answer.status.code >= 500 {
                context.logger.warning(
                    "Request failed",
                    metadata: ["path": "\(request.uri.path)", "code": "\(answer.code)", "error": "\(error)"])
            }
            return isForPeople ? templates.page(of: answer) : answer.response(requestID: context.requestID)
        }
    }

    private static func isForPeople(_ request: Request) -> Bool {
        let path = request.uri.path
        let isPage = path == "/admin" || path.hasPrefix("/admin/")
        return isPage && path != AdminPages.eventsPath && request.headers[.accept]?.lowercased().contains("text/html") == true
    }

    static func answer(to error: any Error, isForPeople: Bool = false) -> APIError {
        switch error {
        case let error as APIError: return error
        case let error as HubSpotError: return answer(to: error)
        case let error as MongoError:
            return error.isTransient
                ? APIError(.serviceUnavailable, "mongodb_unreachable", "MongoDB cannot be reached, or does not answer in time; try again shortly", retryAfter: .seconds(2))
                : APIError(.internalServerError, "mongodb_refused", "MongoDB refused the operation (code \(error.code)); see the log")
        case is StoppedError, is CancellationError:
            return APIError(.serviceUnavailable, "stopping", "The service is shutting down", retryAfter: .seconds(5))
        case let error as any HTTPResponseError:
            switch error.status {
            case .notFound:
                return APIError(.notFound, "not_found", isForPeople ? "There is no page at this address" : "There is nothing at this path; see /openapi.json")
            case .contentTooLarge: return APIError(.contentTooLarge, "body_too_large", "The request's body is too large")
            case let status where status.code < 500: return APIError(status, "bad_request", "The request cannot be understood")
            default: return APIError(.internalServerError, "internal", "Internal error; the log has the request's id")
            }
        default: return APIError(.internalServerError, "internal", "Internal error; the log has the request's id")
        }
    }

    static func answer(to error: HubSpotError) -> APIError {
        switch error.kind {
        case .unauthorized:
            APIError(.badGateway, "hubspot_unauthorized", "HubSpot refused the access token: check HUBSPOT_ACCESS_TOKEN")
        case .missingScopes(let scopes):
            APIError(
                .badGateway, "hubspot_missing_scopes",
                "HubSpot says that the access token lacks scopes: \(scopes.isEmpty ? "see its app's settings" : scopes.joined(separator: ", "))")
        case .notFound: APIError(.notFound, "not_found", "HubSpot has no such record")
        case .rejected: APIError(.badGateway, "hubspot_refused", "HubSpot refused the request: \(error.message)")
        case .limited:
            APIError(.serviceUnavailable, "hubspot_limited", "HubSpot's rate limit is used up", retryAfter: error.retryAfter ?? .seconds(10))
        default:
            APIError(
                .badGateway, "hubspot_unreachable", "HubSpot did not give a usable answer: \(error.message)",
                retryAfter: error.retryAfter)
        }
    }
}
