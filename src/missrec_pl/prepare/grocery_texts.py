"""Texts of grocery products, from the few things that the shop says about them."""

from typing import Any

import numpy as np

from missrec_pl.prepare.core import Ints


def product_texts(purchases: Any, products: Ints) -> list[str]:
    """One text for each product.

    Many products share brand, category and type, so manufacturer, package size and price class (half
    octaves of the shelf price at the product's first sale) are told too.

    Args:
        purchases: Transactions joined with the products table (a pandas frame).
        products: Product ids, ascending, each of them bought at least once.

    Returns:
        Texts in the order of ``products``.
    """
    unit = (purchases["sales_value"] + purchases["retail_disc"]) / purchases["quantity"].clip(lower=1)
    sold = purchases[["product_id"]].assign(unit=unit)[(purchases["quantity"] > 0) & (unit > 0)]
    price = sold.groupby("product_id")["unit"].median().reindex(products).fillna(1.0)
    price_class = np.round(2 * np.log2(price.to_numpy())).astype(int)
    facts = purchases.drop_duplicates("product_id").set_index("product_id").loc[products]
    columns = [
        facts[name].fillna("").astype(str).str.strip()
        for name in ("department", "product_category", "product_type", "package_size", "brand", "manufacturer_id")
    ]
    texts = []
    for department, category, kind, size, brand, maker, price_step in zip(*columns, price_class, strict=True):
        parts = [
            department,
            category,
            kind,
            size,
            f"{brand} brand",
            f"manufacturer-{maker}",
            f"price-class{price_step}",
        ]
        texts.append(", ".join(part for part in parts if part))
    return texts
