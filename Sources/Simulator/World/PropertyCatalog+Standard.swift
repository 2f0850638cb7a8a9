import Model

extension PropertyCatalog {
    /// HubSpot's own definitions, as many as a mirror is likely to meet: name, type, field type, and `!` when every record has a value.
    static func standard(_ type: RecordType) -> [PropertyDefinition] {
        let common = """
            hs_object_id number number !
            hs_merged_object_ids enumeration checkbox
            hubspot_owner_id enumeration select !
            hs_created_by_user_id number number
            hs_updated_by_user_id number number
            hs_object_source string text
            hs_object_source_id string text
            hs_object_source_label string text
            hs_all_owner_ids enumeration checkbox
            hs_was_imported bool booleancheckbox
            hs_is_starred bool booleancheckbox
            hs_pinned_engagement_id number number
            hs_read_only bool booleancheckbox
            hs_source_object_id number number
            hs_num_open_tasks number number
            external_id string text !
            long_text string textarea
            """
        let own =
            switch type {
            case .contacts: contacts
            case .companies: companies
            case .deals: deals
            }
        return (common + "\n" + own).split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            var definition = PropertyDefinition(
                name: words[0], label: label(words[0]), type: words[1], fieldType: words[2],
                groupName: type.singular + "information", options: options(words[0], type: words[1], field: words[2]),
                filler: filler(words[0], type: words[1], field: words[2], of: type), isCore: words.count > 3)
            definition.hasUniqueValue =
                words[0] == "external_id" || words[0] == "hs_object_id" || (words[0] == "email" && type == .contacts)
            definition.calculated = words[0].hasPrefix("hs_") || words[0].hasPrefix("num_") || words[0].hasSuffix("modifieddate")
            definition.externalOptions = words[0] == "hubspot_owner_id"
            definition.hubspotDefined = words[0] != "external_id" && words[0] != "long_text"
            return definition
        }
    }

    private static let contacts = """
        createdate datetime date !
        lastmodifieddate datetime date !
        email string text !
        firstname string text !
        lastname string text !
        hs_calculated_merged_vids enumeration checkbox
        hs_all_contact_vids enumeration checkbox
        phone phone_number phonenumber
        mobilephone phone_number phonenumber
        fax string text
        company string text
        jobtitle string text
        lifecyclestage enumeration radio !
        hs_lead_status enumeration radio
        address string text
        city string text
        state string text
        zip string text
        country string text
        website string text
        industry string text
        numemployees enumeration select
        annualrevenue string text
        salutation string text
        twitterhandle string text
        date_of_birth string text
        degree string text
        field_of_study string text
        gender string text
        graduation_date string text
        job_function string text
        marital_status string text
        military_status string text
        relationship_status string text
        school string text
        seniority string text
        start_date string text
        work_email string text
        message string textarea
        closedate datetime date
        notes_last_contacted datetime date
        notes_last_updated datetime date
        notes_next_activity_date datetime date
        num_contacted_notes number number
        num_notes number number
        num_conversion_events number number
        num_unique_conversion_events number number
        recent_conversion_date datetime date
        recent_conversion_event_name string text
        first_conversion_date datetime date
        first_deal_created_date datetime date
        recent_deal_amount number number
        total_revenue number number
        hs_email_optout bool booleancheckbox
        hs_email_bounce number number
        hs_email_open number number
        hs_analytics_source enumeration select
        hs_analytics_num_page_views number number
        hs_analytics_first_timestamp datetime date
        hs_analytics_last_url string text
        hs_language enumeration select
        hs_persona enumeration select
        hs_buying_role enumeration checkbox
        hs_timezone enumeration select
        hubspotscore number number
        ip_city string text
        ip_country string text
        """

    private static let companies = """
        createdate datetime date !
        hs_lastmodifieddate datetime date !
        name string text !
        domain string text !
        about_us string textarea
        address string text
        address2 string text
        annualrevenue number number
        city string text
        closedate datetime date
        country string text
        days_to_close number number
        description string textarea
        facebook_company_page string text
        first_contact_createdate datetime date
        founded_year string text
        hs_lead_status enumeration radio
        hs_analytics_source enumeration select
        hs_num_child_companies number number
        hs_num_decision_makers number number
        hs_parent_company_id number number
        hs_target_account enumeration select
        hs_total_deal_value number number
        hs_additional_domains enumeration checkbox
        industry enumeration select
        is_public bool booleancheckbox
        lifecyclestage enumeration radio !
        linkedin_company_page string text
        linkedinbio string text
        notes_last_contacted datetime date
        notes_last_updated datetime date
        num_associated_contacts number number
        num_associated_deals number number
        num_contacted_notes number number
        num_notes number number
        numberofemployees number number
        owneremail string text
        phone phone_number phonenumber
        recent_deal_amount number number
        recent_deal_close_date datetime date
        state string text
        timezone string text
        total_money_raised string text
        total_revenue number number
        twitterhandle string text
        type enumeration select
        web_technologies enumeration checkbox
        website string text
        zip string text
        """

    private static let deals = """
        createdate datetime date !
        hs_lastmodifieddate datetime date !
        hs_createdate datetime date !
        dealname string text !
        dealstage enumeration radio !
        pipeline enumeration select !
        amount number number
        amount_in_home_currency number number
        closedate datetime date
        closed_lost_reason string textarea
        closed_won_reason string textarea
        days_to_close number number
        deal_currency_code enumeration select
        dealtype enumeration radio
        description string textarea
        hs_acv number number
        hs_arr number number
        hs_mrr number number
        hs_tcv number number
        hs_closed_amount number number
        hs_deal_stage_probability number number
        hs_forecast_amount number number
        hs_forecast_probability number number
        hs_is_closed bool booleancheckbox
        hs_is_closed_won bool booleancheckbox
        hs_manual_forecast_category enumeration select
        hs_next_step string text
        hs_priority enumeration select
        hs_projected_amount number number
        hs_tag_ids enumeration checkbox
        hs_analytics_source enumeration select
        hs_date_entered_closedwon datetime date
        hs_date_exited_closedwon datetime date
        hs_deal_score number number
        hs_num_target_accounts number number
        hs_predicted_amount number number
        notes_last_contacted datetime date
        notes_last_updated datetime date
        notes_next_activity_date datetime date
        num_associated_contacts number number
        num_contacted_notes number number
        num_notes number number
        contract_start_date date date
        contract_end_date date date
        purchase_order_number string text
        """

    /// `annual_revenue` → `Annual revenue`
    private static func label(_ name: String) -> String {
        let words = name.split(separator: "_").joined(separator: " ")
        return words.prefix(1).uppercased() + words.dropFirst()
    }

    private static func filler(_ name: String, type: String, field: String, of record: RecordType) -> PropertyDefinition.Filler {
        switch name {
        case "hs_object_id": .id
        case "createdate", "hs_createdate": .createdAt
        case record.modifiedProperty: .updatedAt
        case "email": .email
        case "external_id": .externalId
        case "firstname": .firstName
        case "lastname": .lastName
        case "name", "company": .organisation
        case "domain": .domain
        case "dealname": .dealName
        case "hubspot_owner_id": .owner
        case "dealstage": .stage
        case "pipeline": .pipeline
        case "amount", "annualrevenue", "recent_deal_amount", "total_revenue": .money
        case "long_text": .longText
        case "address": .address
        case "numberofemployees", "num_notes", "num_contacted_notes": .integer
        case "hs_merged_object_ids", "hs_calculated_merged_vids", "hs_all_contact_vids", "hs_all_owner_ids": .never
        default:
            switch type {
            case "phone_number": .phone
            case "number": .number
            case "bool": .bool
            case "date": .date
            case "datetime": .dateTime
            case "enumeration": field == "checkbox" ? .choices : .choice
            default: .text
            }
        }
    }

    private static func options(_ name: String, type: String, field: String) -> [PropertyDefinition.Option] {
        if type == "bool" { return yesNo }
        guard type == "enumeration" else { return [] }
        let values: [String] =
            switch name {
            case "lifecyclestage":
                [
                    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
                    "other",
                ]
            case "hs_lead_status": ["NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED"]
            case "dealtype": ["newbusiness", "existingbusiness"]
            case "industry":
                ["ACCOUNTING", "AIRLINES_AVIATION", "COMPUTER_SOFTWARE", "HOSPITAL_HEALTH_CARE", "RENEWABLES_ENVIRONMENT"]
            case "hs_priority": ["low", "medium", "high"]
            case "deal_currency_code": ["EUR", "USD", "JPY"]
            case "dealstage": Pipeline.all.flatMap { $0.stages.map(\.id) }
            case "pipeline": Pipeline.all.map(\.id)
            case "hubspot_owner_id", "hs_merged_object_ids", "hs_calculated_merged_vids", "hs_all_contact_vids", "hs_all_owner_ids":
                []
            default: ["alpha", "beta", "gamma", "delta"]
            }
        return values.map { .init(value: $0, label: $0.prefix(1).uppercased() + $0.dropFirst().lowercased()) }
    }
}
