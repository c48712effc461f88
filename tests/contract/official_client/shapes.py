"""The fields that the protocol names for each object, and the check that an answer has them and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


PROFILE = names(
    "user_id user_type email user_name user_shortname broker exchanges products order_types avatar_url meta"
)
SESSION = PROFILE | names("api_key access_token public_token enctoken refresh_token silo login_time")
SEGMENT = names("enabled net available utilised")
AVAILABLE = names("adhoc_margin cash opening_balance live_balance collateral intraday_payin")
UTILISED = names(
    "debits exposure m2m_realised m2m_unrealised option_premium payout span holding_sales turnover liquid_collateral "
    "stock_collateral delivery"
)
ORDER = names(
    "placed_by order_id exchange_order_id parent_order_id status status_message status_message_raw order_timestamp "
    "exchange_update_timestamp exchange_timestamp variety modified exchange tradingsymbol instrument_token order_type "
    "transaction_type validity product quantity disclosed_quantity price trigger_price average_price filled_quantity "
    "pending_quantity cancelled_quantity market_protection meta tag guid"
)
ORDER_EXTRA = names("account_id terminal_id validity_ttl auction_number tags app_id")
TRADE = names(
    "trade_id order_id exchange tradingsymbol instrument_token product average_price quantity exchange_order_id "
    "transaction_type fill_timestamp order_timestamp exchange_timestamp"
)
POSITION = names(
    "tradingsymbol exchange instrument_token product quantity overnight_quantity multiplier average_price close_price "
    "last_price value pnl m2m unrealised realised buy_quantity buy_price buy_value buy_m2m sell_quantity sell_price "
    "sell_value sell_m2m day_buy_quantity day_buy_price day_buy_value day_sell_quantity day_sell_price day_sell_value"
)
HOLDING = names(
    "tradingsymbol exchange instrument_token isin product price quantity used_quantity t1_quantity realised_quantity "
    "authorised_quantity authorised_date authorisation opening_quantity short_quantity collateral_quantity "
    "collateral_type discrepancy average_price last_price close_price pnl day_change day_change_percentage mtf"
)
INSTRUMENT = names(
    "instrument_token exchange_token tradingsymbol name last_price expiry strike tick_size lot_size instrument_type "
    "segment exchange"
)
QUOTE = names(
    "instrument_token timestamp last_trade_time last_price last_quantity buy_quantity sell_quantity volume "
    "average_price oi oi_day_high oi_day_low net_change lower_circuit_limit upper_circuit_limit ohlc depth"
)
CANDLE = names("date open high low close volume")
MARGIN = names(
    "type tradingsymbol exchange span exposure option_premium additional bo cash var pnl leverage charges total"
)
CHARGES = names(
    "transaction_tax transaction_tax_type exchange_turnover_charge sebi_turnover_charge brokerage stamp_duty gst total"
)
NOTE = names("transaction_type tradingsymbol exchange variety product order_type quantity price charges")
TRIGGER = names("id user_id parent_trigger type created_at updated_at expires_at status condition orders meta")
CONDITION = names("exchange last_price tradingsymbol trigger_values instrument_token")
TRIGGER_ORDER = names("exchange tradingsymbol product order_type transaction_type quantity price result")
TRIGGER_RESULT = names(
    "account_id exchange tradingsymbol validity product order_type transaction_type quantity price meta timestamp "
    "triggered_at order_result"
)
ALERT = names(
    "uuid type user_id name status disabled_reason lhs_attribute lhs_exchange lhs_tradingsymbol operator rhs_type "
    "rhs_attribute rhs_exchange rhs_tradingsymbol rhs_constant alert_count created_at updated_at"
)


def has(row: Mapping[str, Any], fields: frozenset[str], extra: Iterable[str] = ()) -> None:
    """Assert that an object has the given fields, and besides them only ``extra``."""
    missing, unknown = fields - row.keys(), row.keys() - fields - set(extra)
    assert not missing, f"missing: {sorted(missing)}"
    assert not unknown, f"not in the protocol: {sorted(unknown)}"
