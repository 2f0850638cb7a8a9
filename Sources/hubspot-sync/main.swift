print("hubspot-sync")
