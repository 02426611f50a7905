import { VERDACCIO } from './support/catalogue.ts';
import { testApplication } from './support/suite.ts';

testApplication(VERDACCIO);
