import HTTPTypes
import Hummingbird
import Store

/// Probes for whoever restarts or routes: no login, no details.
struct HealthRoutes {
    let store: Store

    func add(to router: Router<AppContext>) {
        router.get("/health/live") { _, _ in HealthRoutes.answer(true) }
        router.get("/health/ready") { _, _ in HealthRoutes.answer(await store.isReady()) }
    }

    private static func answer(_ isGood: Bool) -> Response {
        Response(
            status: isGood ? .ok : .serviceUnavailable,
            headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: isGood ? "ok\n" : "not ready\n")))
    }
}
