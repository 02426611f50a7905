const carts = new Map([['ada', { items: [{ name: 'Tea', price: 4.5 }] }]]);

/** The sum of a customer's cart. */
export function total(customer) {
  const cart = carts.get(customer);
  return cart.items.reduce((sum, { price }) => sum + price, 0);
}
