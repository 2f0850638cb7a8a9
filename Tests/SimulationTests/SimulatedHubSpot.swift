import Curl
import Foundation
import Model

@testable import Simulator

/// The way of one instance to the simulated HubSpot: no sockets, the simulation's time, and answers that come late, damaged or never.
struct SimulatedHubSpot: HTTPSender {
    let life: Life
    let weather: Weather
    let time: VirtualTime
    let simulator: Simulator
    /// Records of a page, so that a small account has many.
    let pageSize: Int

    static let address = "http://hubspot.test"

    func send(_ request: CurlRequest) async throws(CurlError) -> CurlResponse {
        do {
            let deadline = time.uptime + request.timeout
            try await time.sleep(until: max(time.uptime, life.stalledUntil) + weather.milliseconds(10...150))
            guard life.step() else { throw CurlError(.cancelled, "the instance is dead") }
            if weather.hubspotBackAt > time.uptime { throw CurlError(.connect, "nobody listens") }
            let answer = simulator.answer(call(request))
            var isLate = weather.hits(weather.deadCalls)
            if !isLate {
                // What is answered is the state of now, however late it arrives.
                let arrival = time.uptime + answer.delay + weather.milliseconds(weather.hits(weather.slowCalls) ? 100...50_000 : 10...150)
                isLate = arrival > deadline
                try await time.sleep(until: min(arrival, deadline))
            } else {
                try await time.sleep(until: deadline)
            }
            guard !life.isDead else { throw CurlError(.cancelled, "the instance is dead") }
            guard !isLate else { throw CurlError(.timeout, "no answer in time") }
            switch answer.manner {
            case .reset: throw CurlError(.connect, "the connection was reset")
            case .cut: throw CurlError(.cutShort, "the body was cut")
            case .whole: break
            }
            let body = weather.hits(weather.damagedRecords) ? damaged(answer.body) : answer.body
            return CurlResponse(status: answer.status, headers: CurlHeaders(answer.headers.map { ($0.name, $0.value) }), body: body)
        } catch let error as CurlError {
            throw error
        } catch {
            throw CurlError(.cancelled, "the call was cancelled")
        }
    }

    private func call(_ request: CurlRequest) -> Call {
        var target = String(request.url.dropFirst(SimulatedHubSpot.address.count))
        target = target.replacingOccurrences(of: "limit=100", with: "limit=\(pageSize)")
        var body = request.body ?? []
        if target.hasSuffix("/search") {
            body = Array(String(decoding: body, as: UTF8.self).replacingOccurrences(of: "\"limit\":200", with: "\"limit\":\(pageSize)").utf8)
        }
        return Call(
            method: request.method, target: target, headers: request.headers.map { ($0.name, $0.value) }, body: body,
            arrival: time.uptime.nanoseconds)
    }

    /// One of the records has no readable date.
    private func damaged(_ body: [UInt8]) -> [UInt8] {
        var parts = String(decoding: body, as: UTF8.self).components(separatedBy: "\"createdAt\":\"")
        guard parts.count > 1 else { return body }
        let place = Int.random(in: 1..<parts.count, using: &weather.dice)
        parts[place] = "?" + parts[place]
        return Array(parts.joined(separator: "\"createdAt\":\"").utf8)
    }
}
