"""The broker's own app on the phone, as far as the exchange can tell: forms over HTTP, beside the desk."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import httpx

from engine.core.identifiers import BrokerOrderId, InstrumentKey
from engine.core.vocabulary import Exchange as Market
from engine.core.vocabulary import OrderType, Product, Side
from workstation.assembly import Host

AUTHORIZATION = {"Authorization": "token practice:practice"}
TIMEOUT_S = 5.0
TRIES = 20
PAUSE_S = 0.3


class Phone:
    """Orders, changes and conversions that the desk has not made."""

    def __init__(self, host: Host) -> None:
        self._root = host.exchange.root

    async def ask(self, method: str, path: str, **form: object) -> Any:
        """One request; its data."""
        async with httpx.AsyncClient(base_url=self._root, headers=AUTHORIZATION, timeout=TIMEOUT_S) as http:
            fields = {name: str(value) for name, value in form.items() if value is not None}
            for _ in range(TRIES):
                answer = await http.request(method, path, data=fields)
                if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    break
                # Refused for speed, with nothing done: the limits are shared with the desk.
                await asyncio.sleep(PAUSE_S)
            assert answer.is_success, answer.text
            return answer.json()["data"]

    async def place(
        self,
        symbol: str,
        side: Side,
        quantity: int,
        *,
        price: Decimal | None = None,
        product: Product = Product.NRML,
        trigger: Decimal | None = None,
        **more: object,
    ) -> BrokerOrderId:
        """Send an order: a limit, without a price at market, with a trigger a stop."""
        data = await self.ask(
            "POST",
            "/orders/regular",
            exchange=Market.NFO,
            tradingsymbol=symbol,
            transaction_type=side,
            quantity=quantity,
            product=product,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT if trigger is None else OrderType.SL,
            price=price,
            trigger_price=trigger,
            market_protection=-1 if price is None else None,
            validity="DAY",
            **more,
        )
        first = data[0] if isinstance(data, list) else data
        return BrokerOrderId(str(first["order_id"]))

    async def reprice(self, order_id: BrokerOrderId | None, price: Decimal) -> None:
        """Change the price of a resting limit order."""
        await self.ask("PUT", f"/orders/regular/{order_id}", order_type=OrderType.LIMIT, price=price)

    async def convert(self, symbol: str, side: Side, quantity: int, old: Product, new: Product) -> None:
        """Turn quantity of a position of today into another product."""
        await self.ask(
            "PUT",
            "/portfolio/positions",
            exchange=Market.NFO,
            tradingsymbol=symbol,
            transaction_type=side,
            position_type="day",
            quantity=quantity,
            old_product=old,
            new_product=new,
        )

    async def net(self, key: InstrumentKey, product: Product = Product.NRML) -> int:
        """The broker's net of one contract."""
        rows = (await self.ask("GET", "/portfolio/positions"))["net"]
        return sum(
            int(row["quantity"])
            for row in rows
            if row["tradingsymbol"] == key.tradingsymbol and row["product"] == product
        )

    async def order(self, order_id: BrokerOrderId | None) -> dict[str, Any]:
        """An order as the exchange has it."""
        rows = await self.ask("GET", "/orders")
        return next(dict(row) for row in rows if str(row["order_id"]) == order_id)
