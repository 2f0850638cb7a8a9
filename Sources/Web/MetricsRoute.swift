import HTTPTypes
import Hummingbird

/// What Prometheus reads. No login and no personal data: only counts and times.
struct MetricsRoute {
    let metrics: PrometheusMetrics

    func add(to router: Router<AppContext>) {
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: PrometheusMetrics.contentType, .cacheControl: "no-store"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: metrics.text())))
        }
    }
}
