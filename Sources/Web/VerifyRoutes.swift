import Bytes
import Hummingbird
import Model
import ServiceLifecycle
import Sync

/// Comparing mirror and HubSpot when somebody asks for it.
struct VerifyRoutes {
    let verification: Verification

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        group.post("verify") { request, _ in
            let sample = try request.value("sample", "all, or a whole number from 1 to \(Verification.sampleMax)", Sample.init)
            let types = try request.value("types", "some of contacts, companies, deals, separated by commas") { text -> [RecordType]? in
                let types = text.split(separator: ",").map { RecordType(rawValue: String($0)) }
                return types.isEmpty || types.contains(nil) ? nil : Set(types.compactMap(\.self)).sorted()
            }
            let repair = try request.flag("repair") ?? false
            do {
                // What is under way is not worth a wait for the stop.
                let report = try await cancelWhenGracefulShutdown {
                    try await verification.verify(
                        types ?? RecordType.allCases, sample: sample.map(\.count) ?? Verification.sampleDefault, repair: repair)
                }
                return Response.json { report.write(to: &$0) }
            } catch is Verification.BusyError {
                throw APIError(.conflict, "verify_running", "Mirror and HubSpot are being compared already; try again when that is done")
            }
        }
    }

    /// `all`, or a number.
    private struct Sample {
        /// nil for all.
        let count: Int?

        init?(_ text: String) {
            if text == "all" {
                count = nil
            } else if text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = Int(text), (1...Verification.sampleMax).contains(number) {
                count = number
            } else {
                return nil
            }
        }
    }
}
